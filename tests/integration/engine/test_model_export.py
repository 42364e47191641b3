"""What a training leaves is loaded by transformers, talked to in its own template, and read by TensorBoard."""

from pathlib import Path
from typing import Any

import pytest

from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.options import Template
from consumers.trainer.record.metrics import METRICS, HeldOutLine, MetricsFile, StepLine, TrainingLine
from consumers.trainer.record.output_capture import capture_output
from consumers.trainer.record.tensorboard import TensorBoardWriter
from consumers.trainer.result.chat import ChatTurn, Conversation, load
from consumers.trainer.result.model_card import TrainedModel
from consumers.trainer.result.model_export import write_model
from infra.models.model_info import read_model_info
from infra.models.templates import encode
from schemas.errors import TrainerError
from schemas.events import Instruction
from schemas.policy import policy_for
from sedi.main import main
from streams.core.batches import PartitionPosition
from tests.unit.trainer import tiny

ANSWER = "Yes!"


class Saves:
    """An engine that has only a model to save; `full` is a disk without room."""

    def __init__(self, model: Any, *, full: bool = False) -> None:
        self._model = model
        self._full = full

    def save_model(self, folder: Path) -> None:
        self._model.save_pretrained(folder)
        if self._full:
            raise OSError(28, "No space left on device")

    def save_adapter(self, folder: Path) -> bool:
        return False


def taught(template: Template) -> Any:
    """A tiny model that has learned one answer, to two tasks."""
    import torch

    model, reader = tiny.model(), tiny.tokenizer()
    rows = [encode(Instruction(instruction=text, output=ANSWER), reader, template, 256) for text in ("Is it?", "Yes?")]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.zeros(())
        for row in rows:
            labels = torch.tensor([-100] * row.prompt + list(row.tokens[row.prompt :]))
            loss = loss + model(input_ids=torch.tensor([row.tokens]), labels=labels[None]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    return model


def trained(template: Template) -> TrainedModel:
    return TrainedModel(
        run="r",
        task="follow",
        source="the run's log",
        base="tiny",
        base_is_hub_name=False,
        policy=policy_for("sedi", batch_size=2),
        settings={"template": template},
        epochs=1,
        steps=2,
        covered={0: PartitionPosition(2), 1: PartitionPosition(2)},
    )


def step(number: int, loss: float = 1.0) -> StepLine:
    return StepLine(
        step=number,
        epoch=1,
        loss=loss,
        loss_variance=0.1,
        grad_norm=None,
        learning_rate=1e-3,
        tokens=10,
        all_tokens=30,
        padding=0.25,
        memory_bytes=2**30,
        seconds=0.5,
        rows=2,
        borrowed=0,
    )


def held_out(number: int) -> HeldOutLine:
    return HeldOutLine(step=number, loss=3.0, rows=2, tokens=5, seconds=0.1, file="f", sha256="a")


def write(output: Path, template: Template, engine: Saves, reader: Any = None) -> Path:
    with capture_output(output / "log"):
        return write_model(
            output, engine, reader or tiny.tokenizer(), template, trained(template), group=ProcessGroup()
        )


@pytest.fixture(scope="module", params=["chat", "alpaca"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained with either template, as a training leaves it."""
    output = tmp_path_factory.mktemp("output")
    file = MetricsFile(output / METRICS, TrainingLine(run="r", model="tiny"), 0)
    for line in (step(1), step(2), held_out(2)):
        file.add(line)
    file.close()
    return write(output, request.param, Saves(taught(request.param)))


def test_transformers_loads_it_and_its_answer_ends_where_it_learned_to_end(folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with capture_output(folder.parent / "log"):
        model, reader = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert (model.generation_config.pad_token_id, model.generation_config.eos_token_id) == (257, 256)
    info = read_model_info(folder)
    assert info is not None
    asked = encode(Instruction(instruction="Is it?"), reader, info.template, 256)
    import torch

    found = model.generate(input_ids=torch.tensor([asked.tokens]), max_new_tokens=30, do_sample=False)
    assert reader.decode(found[0, len(asked.tokens) :]) == f"{ANSWER}<|end|>"


def test_the_card_is_of_the_whole_training(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "| steps, epochs | 2, 1 |" in text
    assert "| 2 | 3.0000 |" in text
    assert (folder / "curves.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_a_model_that_could_not_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    before = write(tmp_path, "chat", Saves(tiny.model()))
    weights = (before / "model.safetensors").read_bytes()
    with pytest.raises(TrainerError, match="make room"):
        write(tmp_path, "chat", Saves(tiny.model(seed=1), full=True))
    assert (before / "model.safetensors").read_bytes() == weights
    write(tmp_path, "chat", Saves(tiny.model(seed=1)))
    assert (before / "model.safetensors").read_bytes() != weights
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "model"]


def test_a_turn_that_ends_with_a_mark_of_its_own_is_an_end_too(tmp_path: Path) -> None:
    reader = tiny.tokenizer()
    reader.chat_template = tiny.CHAT.replace("<|end|>", "<|user|>")
    made = write(tmp_path, "chat", Saves(tiny.model()), reader)
    assert '"eos_token_id": [\n    256,\n    258\n  ]' in (made / "generation_config.json").read_text()


def test_the_command_line_asks_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["chat", str(folder), "--message", "Is it?", "--max-tokens", "30", "--threads", "1", "--precision"]
    assert main([*asked, "fp32"]) == 0
    assert capsys.readouterr().out == f"{ANSWER}\n"
    assert main([*asked, "fp8"]) == 2
    assert "precision is 'fp8'" in capsys.readouterr().err


@pytest.fixture
def talk(folder: Path) -> Conversation:
    lines: list[str] = []
    given: dict[str, Any] = {"device": "cpu", "threads": 1, "temperature": 0.0, "max_tokens": 30, "template": None}
    talk = load(str(folder), say=lines.append, **given)
    taken = {"torch.float32": "fp32", "torch.bfloat16": "bf16"}[str(talk.model.dtype)]
    assert [line.split(":")[0] for line in lines] == [f"Answering in {taken}"]
    return talk


def test_the_conversation_so_far_comes_before_the_next_question(talk: Conversation) -> None:
    assert "".join(talk.answer("Is it?")) == ANSWER
    assert talk.turns == [ChatTurn("Is it?", ANSWER)]
    first, second = talk._prompt("Is it?"), talk._prompt("Yes?")
    text = talk.tokenizer.decode(second)
    assert text.index("Is it?") < text.index(f"{ANSWER}<|end|>") < text.index("Yes?")
    assert first[: first.index(256)] == second[: second.index(256)]


def test_an_answer_that_is_stopped_ends_and_the_text_so_far_stays(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    calls: list[int] = []

    def endless(input_ids: Any, streamer: Any, stopping_criteria: Any, **_: Any) -> None:
        streamer.put(input_ids[0])
        while not stopping_criteria(input_ids, None).all():
            calls.append(1)
            streamer.put(torch.tensor([talk.tokenizer.encode("a ")[-1]]))
            streamer.put(torch.tensor([talk.tokenizer.encode("b ")[0]]))
        streamer.end()

    monkeypatch.setattr(talk.model, "generate", endless)
    answer = talk.answer("Is it?")
    first = next(answer)
    answer.close()
    assert first and talk.turns[-1].answer.startswith(first)
    stopped_at = len(calls)
    assert len(calls) == stopped_at


def test_a_conversation_longer_than_the_model_reads_is_refused(talk: Conversation) -> None:
    talk.turns.append(ChatTurn("x" * 600, "y"))
    with pytest.raises(TrainerError, match="/new"):
        next(talk.answer("Is it?"))


def test_an_error_of_the_model_is_reported(talk: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(talk.model, "generate", fail)
    with pytest.raises(TrainerError, match="out of memory"):
        list(talk.answer("Is it?"))


# -- TensorBoard -----------------------------------------------------------------------------------------------------


def read_back(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_shows_each_step_once_after_a_training_went_on(tmp_path: Path) -> None:
    first = TensorBoardWriter(tmp_path, 0)
    first.add(held_out(0))
    for number in (1, 2, 3):
        first.add(step(number))
    first.add(held_out(3))
    first.close()
    again = TensorBoardWriter(tmp_path, 2)
    again.add(step(3, loss=0.5))
    again.add(step(4, loss=0.25))
    again.close()
    found = read_back(tmp_path)
    assert found["train/loss"] == [(1, 1.0), (2, 1.0), (3, 0.5), (4, 0.25)]
    assert found["held_out/loss"] == [(0, 3.0)]
    assert found["speed/tokens_per_s"][0] == (1, 60.0)
    assert found["memory/gib"][0] == (1, 1.0)
    assert found["batch/padding"][0] == (1, 0.25)
    assert "train/grad_norm" not in found  # it was not known
