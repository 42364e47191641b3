"""An instruction generator: trained on a run's rows turned round, without a trace on the run's training log."""

import json
from pathlib import Path
from typing import Any

import pytest

from consumers.trainer.record.metrics import METRICS, read_metrics
from consumers.trainer.result.checkpoint_model import model_of_checkpoint
from infra.log.archiving import write_archive
from infra.models.model_info import is_instruction_generator, read_model_info, warning_of_task
from infra.models.templates import encode
from infra.models.turned_rows import turned
from infra.settings import Settings
from producers.backends.local_model.loading import load_model
from producers.prompts.candidates import request
from schemas.errors import TrainerError
from schemas.events import Instruction, StepLogged
from sedi.main import main
from tests.integration.trainer.rig import CLUSTERS, TrainerRig

TEXT = "Bees store honey for the winter."


def numbers_of(steps: list[StepLogged]) -> list[tuple[int, float | None, list[str]]]:
    return [(step.step, step.loss, [row.id for row in step.rows]) for step in steps]


def test_it_learns_the_instructions_of_a_runs_rows_and_leaves_the_training_log_alone(rig: TrainerRig) -> None:
    rig.write([n % CLUSTERS for n in range(24)])  # every fourth output is too short: those of cluster 0
    rig.stop_run()
    given: dict[str, Any] = {"task": "instruct", "offline": True, "until_end": False, "epochs": 2, "last_batch": True}
    generator = rig.settings.state_dir / rig.run / "generator"
    rows = rig.folder / "held-out.json"
    rows.write_text(
        json.dumps([{"instruction": "What do bees do?", "output": TEXT}, {"instruction": "A", "output": "B"}])
    )
    summary, steps = rig.train(output=None, eval_file=rows, **given)
    assert rig.windows() == []
    assert (summary.rows, summary.rows_left_out, summary.rows_without_response) == (36, 6, 0)
    assert [(line.step, line.rows) for line in summary.held_out] == [(0, 1), (len(steps), 1)]
    before, after = (line.loss for line in summary.held_out)
    assert before is not None
    assert after is not None
    assert after < before
    assert summary.model_folder == generator / "model"
    assert is_instruction_generator(generator / "model")
    assert warning_of_task(generator / "model") is not None
    metrics = read_metrics(generator / METRICS).training
    assert metrics is not None
    assert metrics.task == "instruct"

    write_archive(rig.settings, rig.run, rig.folder / "archive")
    archive = {**given, "from_files": rig.folder / "archive"}
    rig.train(max_steps=4, **archive)
    assert numbers_of(rig.train(**archive)[1]) == numbers_of(steps)[4:]
    made = model_of_checkpoint(rig.folder / "out", len(steps), rig.folder / "cache", trust=True)
    assert is_instruction_generator(made)

    with pytest.raises(TrainerError, match="task 'instruct', this training has 'follow'"):
        rig.train()
    followed, _ = rig.train(output=rig.folder / "other")
    assert followed.model_folder is not None
    assert warning_of_task(followed.model_folder) is None


@pytest.mark.parametrize("template", ["chat", "alpaca"])
def test_a_file_makes_a_generator_that_is_asked_in_the_tokens_it_was_trained_on(
    rig: TrainerRig, tmp_path: Path, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([{"instruction": f"Say {n}.", "output": TEXT} for n in range(8)]))
    given = ["--data", str(rows), "--output", str(tmp_path / "made"), "--template", template, "--model"]
    small = ["--batch-size", "4", "--epochs", "1", "--precision", "fp32", "--device", "cpu", "--lora-rank", "2"]
    command = ["train", "--task", "instruct", *given, str(rig.model_folder), *small]
    assert main(command) != 0
    assert "--offline" in capsys.readouterr().err
    assert main([*command, "--offline"]) == 0
    folder = tmp_path / "made" / "model"
    assert f"--producer goliath --backend transformers --model {folder}" in capsys.readouterr().err
    info = read_model_info(folder)
    assert info is not None
    assert (info.task, info.template) == ("instruct", template)

    loaded = load_model(Settings(backend="transformers", model=str(folder), transformers_dtype="float32"), print)
    row = encode(turned(Instruction(instruction="Say 0.", output=TEXT)), loaded.tokenizer, info.template, 512)
    assert loaded.tokenize(request(TEXT, "chat", trained=True)) == (list(row.tokens[: row.prompt]), "")
    assert row.tokens[-1] in loaded.ends
