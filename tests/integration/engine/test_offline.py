"""Training without a broker: an archive and its export give the same batches, and a training that was cut
off and resumed reports what an undisturbed one does."""

import json
from pathlib import Path
from typing import Any

import pytest

from consumers.export.run import ExportOptions, export
from consumers.report import held_out_of
from consumers.trainer.record.metrics import METRICS, Metrics, read_metrics
from consumers.trainer.run import TrainOptions, TrainSummary, train
from infra.log.archive import ArchiveSource
from infra.settings import Settings
from schemas.errors import TrainerError
from schemas.events import StepLogged
from sedi.main import main
from tests.golden import HERE
from tests.integration.engine.test_model_export import read_back

GOLDEN = HERE / "undisturbed"
HELD_OUT = [{"instruction": f"Say number {n}", "output": f"It is {n}."} for n in range(6)]


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    path = tmp_path / "held-out.json"
    path.write_text(json.dumps(HELD_OUT))
    return path


def run(folder: Path, model: Path, **changes: Any) -> tuple[TrainSummary, list[StepLogged]]:
    """Train offline in `folder`; the summary and the steps of this session."""
    steps: list[StepLogged] = []
    given: dict[str, Any] = {
        "run": "not-used",
        "model": str(model),
        "output": folder,
        "offline": True,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "learning_rate": 1e-2,
        "planned_steps": 100,
        "max_length": 64,
        "tensorboard": False,
        **changes,
    }
    summary = train(TrainOptions(**given), Settings(state_dir=folder), on_step=steps.append, say=lambda line: None)
    return summary, steps


def losses_and_rows(steps: list[StepLogged]) -> list[tuple[int, float | None, tuple[str, ...]]]:
    return [(step.step, step.loss, tuple(row.id for row in step.rows)) for step in steps]


def curves(metrics: Metrics) -> tuple[list[tuple[int, float | None]], list[tuple[int, float | None]]]:
    return [(line.step, line.loss) for line in metrics.steps], [(line.step, line.loss) for line in metrics.held_out]


def test_an_archive_and_its_export_are_trained_alike_for_all_epochs(tmp_path: Path, tiny_folder: Path) -> None:
    export(ArchiveSource(GOLDEN), tmp_path / "data", ExportOptions())
    of_archive, steps = run(tmp_path / "a", tiny_folder, from_files=GOLDEN, epochs=2, max_steps=40)
    of_file, same = run(tmp_path / "b", tiny_folder, data=tmp_path / "data" / "alpaca.json", epochs=2, max_steps=40)
    assert losses_and_rows(steps) == losses_and_rows(same)
    assert (of_archive.run, of_file.run) == (ArchiveSource(GOLDEN).run,) * 2
    assert all(len(step.rows) == 2 for step in steps)
    assert (len(steps), of_archive.epoch) == (40, 2)


def test_a_training_that_was_cut_off_reports_what_an_undisturbed_one_does(
    tmp_path: Path, tiny_folder: Path, held_out: Path
) -> None:
    settings: dict[str, Any] = {"from_files": GOLDEN, "eval_file": held_out, "eval_every": 3, "tensorboard": True}
    whole, steps = run(tmp_path / "whole", tiny_folder, max_steps=8, **settings)
    without, same = run(tmp_path / "without", tiny_folder, max_steps=8, from_files=GOLDEN)
    assert losses_and_rows(steps) == losses_and_rows(same)  # evaluating changes nothing in what is trained
    assert (without.held_out, [line.step for line in whole.held_out]) == ((), [0, 3, 6, 8])

    cut = tmp_path / "cut"

    def fail_at_five(step: StepLogged) -> None:
        if step.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            TrainOptions(
                run="x",
                model=str(tiny_folder),
                output=cut,
                offline=True,
                precision="fp32",
                device="cpu",
                threads=1,
                learning_rate=1e-2,
                planned_steps=100,
                max_length=64,
                max_steps=8,
                checkpoint_every=3,
                **settings,
            ),
            Settings(state_dir=cut),
            on_step=fail_at_five,
            say=lambda line: None,
        )
    assert curves(read_metrics(cut / METRICS))[0][-1][0] == 5
    again, last = run(cut, tiny_folder, max_steps=8, checkpoint_every=3, **settings)
    assert (again.resumed_from, losses_and_rows(last)) == (3, losses_and_rows(steps)[3:])
    assert curves(read_metrics(cut / METRICS)) == curves(read_metrics(tmp_path / "whole" / METRICS))
    shown = read_back(cut / "tensorboard")
    assert [step for step, _ in shown["train/loss"]] == list(range(1, 9))
    assert [step for step, _ in shown["held_out/loss"]] == [0, 3, 6, 8]
    assert [value for _, value in shown["train/loss"]] == pytest.approx([step.loss for step in steps])
    run_name = ArchiveSource(GOLDEN).run
    assert [line.loss for line in held_out_of(run_name, cut)] == [line.loss for line in whole.held_out]
    assert held_out_of("another", cut) == ()


def test_the_held_out_loss_is_the_mean_over_the_response_tokens_of_the_model_as_it_came_out(
    tmp_path: Path, tiny_folder: Path, held_out: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from consumers.trainer.record.output_capture import capture_output
    from infra.models.templates import encode
    from schemas.events import Instruction
    from tests.unit.trainer.tiny import tokenizer

    summary, _ = run(tmp_path / "out", tiny_folder, from_files=GOLDEN, max_steps=3, eval_file=held_out)
    assert summary.model_folder is not None
    with capture_output(tmp_path / "log"):
        model = AutoModelForCausalLM.from_pretrained(summary.model_folder, dtype=torch.float32)
    total, tokens = 0.0, 0
    for given in HELD_OUT:
        row = encode(Instruction(**given), tokenizer(), "chat", 64)
        logits = model(input_ids=torch.tensor([row.tokens])).logits[0, row.prompt - 1 : -1]
        targets = torch.tensor(row.tokens[row.prompt :])
        total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        tokens += row.response
    assert summary.held_out[-1].tokens == tokens
    assert summary.held_out[-1].loss == pytest.approx(total / tokens, abs=1e-4)


def test_the_command_line_trains_a_file_without_any_cluster_and_leaves_a_model(
    tmp_path: Path, tiny_folder: Path, held_out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps({"instruction": f"Say {n}", "output": str(n)}) + "\n" for n in range(10)))
    command = [
        "train",
        "--offline",
        "--data",
        str(data),
        "--batch-size",
        "4",
        "--eval",
        str(held_out),
        "--eval-rows",
        "2",
        "--model",
        str(tiny_folder),
        "--threads",
        "1",
        "--device",
        "cpu",
        "--json",
        "--state-dir",
        str(tmp_path / "state"),
        "--bootstrap-servers",
        "127.0.0.1:9",
        "--no-tensorboard",
        "--max-length",
        "64",
        "--last-batch",
    ]
    assert main(command) == 0
    found = capsys.readouterr()
    summary = json.loads(found.out)
    assert (summary["run"], summary["steps"], summary["rows"]) == ("rows", 9, 30)  # three epochs, as the paper
    assert [line["rows"] for line in summary["held_out"]] == [2, 2]
    assert "step 3 (epoch 1): loss " in found.err
    (line,) = [line for line in found.err.splitlines() if line.startswith("Training in ")]
    precision = line.removeprefix("Training in ").split(":")[0]
    assert precision in {"bf16", "fp32"}
    assert "tokens/s, padding " in found.err
    model = tmp_path / "state" / "rows" / "model"
    assert summary["model_folder"] == str(model)
    card = (model / "README.md").read_text()
    assert "the file rows.jsonl" in card
    assert f"| precision | {precision} |" in card
    assert not (tmp_path / "state" / "rows" / "tensorboard").exists()


def test_a_folder_of_another_run_is_refused(tmp_path: Path, tiny_folder: Path) -> None:
    data = tmp_path / "rows.json"
    data.write_text(json.dumps(HELD_OUT))
    run(tmp_path / "out", tiny_folder, data=data, batch_size=2, max_steps=1)
    with pytest.raises(TrainerError, match="Give another output"):
        run(tmp_path / "out", tiny_folder, from_files=GOLDEN, max_steps=1)
