"""Log-likelihoods are those of the model, however the questions are batched, packed and cut."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from consumers.evaluation.benchmarks.data import HeldOutText
from consumers.evaluation.benchmarks.encoding import encode_choices, prompted
from infra.models.likelihood import continued
from infra.models.likelihood.continued import ContinuationEngine
from infra.models.likelihood.encoded import EncodedQuestion
from infra.models.likelihood.engine import LikelihoodEngine
from infra.models.likelihood.packing import LEAST_SHARED
from infra.models.memory import is_exhausted
from infra.models.templates import encode
from schemas.errors import ConfigurationError, TrainerError
from schemas.events import Instruction
from tests.unit.trainer import tiny

BEGIN = tuple(range(100, 100 + LEAST_SHARED))
QUESTIONS = [
    EncodedQuestion((*BEGIN, *range(number)), ((1, 2, number), (3,), (1, 2, 5), tuple(range(60, 60 + number))))
    for number in range(1, 12)
] + [EncodedQuestion((number, 9), ((4,), (5,), (6,), (7,))) for number in range(5)]


@pytest.fixture(scope="module")
def engine(tiny_folder: Path) -> LikelihoodEngine:
    return LikelihoodEngine(tiny_folder, device="cpu", precision="fp32", threads=1)


def measured(engine: LikelihoodEngine, questions: Sequence[EncodedQuestion]) -> list[tuple[float, ...]]:
    found: dict[int, tuple[float, ...]] = {}
    for batch in engine.measure(questions):
        assert not found.keys() & batch.keys()
        found |= batch
    return [found[place] for place in range(len(questions))]


def plainly(model: Any, question: EncodedQuestion, max_length: int = 512) -> list[float]:
    """One choice after the other, with all logits."""
    import torch

    found = []
    for continuation in question.continuations:
        whole = [*question.prefix, *continuation][-(max_length + 1) :]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([whole[:-1]])).logits[0].log_softmax(-1)
        last = range(len(whole) - 1 - len(continuation), len(whole) - 1)
        found.append(math.fsum(float(logits[at, whole[at + 1]]) for at in last))
    return found


def close(found: list[tuple[float, ...]], expected: list[Any]) -> bool:
    pairs = [pair for one, other in zip(found, expected, strict=True) for pair in zip(one, other, strict=True)]
    return max(abs(one - other) for one, other in pairs) < 1e-4


@pytest.mark.parametrize("batch_tokens", [1, 150, 100_000])
def test_values_are_the_model_s_however_they_are_computed(engine: LikelihoodEngine, batch_tokens: int) -> None:
    expected = [plainly(engine.model, question) for question in QUESTIONS]
    engine._batch_tokens = batch_tokens
    assert engine.shares
    assert close(measured(engine, QUESTIONS), expected)
    assert close(measured(engine, QUESTIONS[::-1])[::-1], expected)
    engine.shares = False
    try:
        assert close(measured(engine, QUESTIONS), expected)
    finally:
        engine.shares = True


def test_what_exceeds_the_context_loses_its_beginning_and_is_counted(engine: LikelihoodEngine) -> None:
    asked = [
        EncodedQuestion(tuple(n % 250 for n in range(length)), ((1, 2, 3), (4,), (5, 6)))
        for length in (509, 510, 511, 512, 700)
    ]
    before = engine.cut
    assert close(measured(engine, asked), [plainly(engine.model, question) for question in asked])
    assert engine.cut - before == 3  # the input is a token shorter than the text


def test_models_that_cannot_share_a_prefix_are_found_out(tmp_path: Path) -> None:
    import torch
    from transformers import BloomConfig, BloomForCausalLM, GPT2Config, GPT2LMHeadModel, MistralConfig
    from transformers import MistralForCausalLM as Mistral

    small = {"vocab_size": 272, "hidden_size": 32, "n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 256}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    models = {
        "gpt2": (GPT2LMHeadModel(GPT2Config(**small)), True),
        "bloom": (BloomForCausalLM(BloomConfig(**small)), False),  # its positions are not given
        "window": (Mistral(MistralConfig(vocab_size=272, hidden_size=32, sliding_window=8, **layers)), False),
    }
    for name, (model, shares) in models.items():
        model.save_pretrained(tmp_path / name)
        tiny.tokenizer().save_pretrained(tmp_path / name)
        engine = LikelihoodEngine(tmp_path / name, device="cpu", precision="fp32", threads=1)
        assert (name, engine.shares) == (name, shares)
        asked = QUESTIONS[8:]
        assert close(measured(engine, asked), [plainly(engine.model, question, 256) for question in asked])
        assert (name, ContinuationEngine(engine).usable) == (name, shares)


@pytest.mark.parametrize("row_tokens", [1, 60, 100_000])
def test_a_continuation_in_steps_is_the_model_s_and_nothing_is_computed_twice(
    engine: LikelihoodEngine, monkeypatch: pytest.MonkeyPatch, row_tokens: int
) -> None:
    continuing = ContinuationEngine(engine)
    assert continuing.usable
    monkeypatch.setattr(continued, "ROW_TOKENS", {"cpu": row_tokens})
    computed: list[int] = []
    values_at = engine.values_at
    monkeypatch.setattr(
        engine,
        "values_at",
        lambda inputs, *a, **given: computed.append(inputs.numel()) or values_at(inputs, *a, **given),
    )
    prompts = [(*BEGIN, *range(number)) for number in (1, 7, 30, 2)]
    continuation = tuple(range(60, 100))
    begun = continuing.begin(prompts, continuation)
    for places, tokens in (([0, 2, 3], 9), ([2], 3), ([1, 2], 40), ([0], 40), ([0, 1, 2], 40)):
        expected = [plainly(engine.model, EncodedQuestion(prompts[each], (continuation[:tokens],))) for each in places]
        found = begun.values(places, tokens)
        assert close([(found[each],) for each in places], expected)
    computed.clear()
    again = continuing.begin(prompts, continuation)
    again.values([0, 1, 2, 3], 9)
    again.values([1, 2], 40)
    assert sum(computed) == (1 + 7 + 30 + 2) + 4 * 8 + 2 * 31


def test_a_batch_that_exceeds_the_memory_is_halved(engine: LikelihoodEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = measured(engine, QUESTIONS)
    forward, sizes = engine._forward, []

    def scarce(batch: Sequence[Any]) -> Any:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(batch)

    assert is_exhausted(RuntimeError("can't allocate memory"))
    monkeypatch.setattr(engine, "_forward", scarce)
    monkeypatch.setattr(engine, "_batch_tokens", 100_000)
    assert close(measured(engine, QUESTIONS), expected)
    assert max(sizes) > 2
    monkeypatch.setattr(engine, "_forward", lambda batch: scarce([*batch, None, None, None]))
    with pytest.raises(TrainerError, match="does not fit into memory"):
        measured(engine, QUESTIONS)


def test_values_that_are_not_finite_are_refused(engine: LikelihoodEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ContinuationEngine(engine).begin([(1, 2), (3,)], (4, 5))
    with monkeypatch.context() as patch:
        patch.setattr(engine, "values_at", lambda *_, **__: [math.nan])
        with pytest.raises(TrainerError, match="not finite in fp32"):
            begun.values([0, 1], 2)
    monkeypatch.setattr(engine, "_forward", lambda batch: [(0, 0, math.nan)])
    with pytest.raises(TrainerError, match="not finite in fp32"):
        measured(engine, QUESTIONS)


def test_spaces_at_the_end_of_a_prompt_belong_to_the_choice() -> None:
    reader = tiny.tokenizer()
    (found,) = encode_choices([("Is it?  ", (" yes", "no"))], reader)
    assert reader.decode(found.prefix) == "Is it?"
    assert [reader.decode(each) for each in found.continuations] == ["   yes", "  no"]
    with pytest.raises(ConfigurationError, match="no token of a choice"):
        encode_choices([("Is it?", ("",))], reader)


def test_a_beginning_of_text_is_added_once(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    reader = tiny.tokenizer()
    reader.bos_token = "<|user|>"
    reader.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|user|> $A", special_tokens=[("<|user|>", reader.bos_token_id)]
    )
    plain, begun = encode_choices([("So", (" b",)), ("<|user|>So", (" b",))], reader)
    assert plain == begun
    assert plain.prefix[0] == reader.bos_token_id
    assert len(plain.prefix) == 3


def test_a_held_out_row_is_measured_as_training_measures_it(engine: LikelihoodEngine) -> None:
    row = Instruction(instruction="Say so", input="now", output="So it is.")
    (asked,) = prompted([HeldOutText("0", row)], engine.tokenizer, "chat", engine.max_length)
    encoded = encode(row, engine.tokenizer, "chat", engine.max_length)
    assert (*asked.tokens.prefix, *asked.tokens.continuations[0]) == encoded.tokens
    assert (asked.choices, asked.gold, asked.prompt, asked.cut) == ((row.output,), None, asked.question, False)
    (value,) = measured(engine, [asked.tokens])
    assert close([value], [plainly(engine.model, asked.tokens)])
