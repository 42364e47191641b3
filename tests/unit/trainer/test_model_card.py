"""The model card says what was trained, is Markdown that holds together, and comes out the same each time."""

import re

import yaml

from consumers.trainer.record.curves import curves
from consumers.trainer.record.metrics import HeldOutLine, Metrics, StepLine, TrainingLine
from consumers.trainer.result.model_card import TrainedModel, card
from schemas.policy import policy_for
from streams.core.batches import PartitionPosition


def metrics(steps: int = 3, **changes: float | None) -> Metrics:
    def line(number: int) -> StepLine:
        fields = {"loss": 2.0 / number, "loss_variance": 0.1, "grad_norm": 1.0 + number, "padding": 0.1, **changes}
        return StepLine(
            step=number,
            epoch=1 if number < 3 else 2,
            learning_rate=1e-5,
            tokens=10,
            all_tokens=30,
            memory_bytes=5,
            seconds=2.0,
            rows=4,
            borrowed=1,
            **fields,
        )

    held_out = tuple(
        HeldOutLine(step=at, loss=3.0 - at / 10, rows=2, tokens=20, seconds=1.0, file="a|b.json", sha256="a")
        for at in (0, steps)
    )
    return Metrics(TrainingLine(run="r", model="m"), tuple(line(n) for n in range(1, steps + 1)), held_out)


def trained(**changes: object) -> TrainedModel:
    fields = {
        "run": "r",
        "task": "follow",
        "source": "the run's log",
        "base": "./m<odel",
        "base_is_hub_name": False,
        "policy": policy_for("sedi", batch_size=2),
        "settings": {"template": "alpaca", "clip": None},
        "epochs": 2,
        "steps": 3,
        "covered": {0: PartitionPosition(7), 1: PartitionPosition(5)},
        **changes,
    }
    return TrainedModel(**fields)  # type: ignore[arg-type]


def cells(text: str) -> dict[str, str]:
    """All tables with two columns, as one."""
    return dict(re.findall(r"^\| (.*?) \| (.*?) \|$", text, re.MULTILINE))


def test_it_shows_rows_steps_tokens_offsets_and_held_out_losses_of_the_whole_training() -> None:
    text = card(trained(), metrics())
    shown = cells(text)
    assert shown["rows trained"] == "12"
    assert shown["rows of the first epoch"] == "8"
    assert shown["of them in another cluster's slot"] == "3"
    assert shown["tokens, prompts included"] == "90"
    assert shown["loss of the first and the last step"] == "2, 0.6667"
    assert shown["base model"] == "./m&lt;odel"
    assert shown["template"] == "alpaca"
    assert "| 0 | 7 |\n| 1 | 5 |" in text
    assert "| 0 | 3.0000 |\n| 3 | 2.7000 |" in text
    assert "`a\\|b.json`" in text
    assert {"batch_size", "threshold", "clip", "torch", "transformers"} <= shown.keys()
    assert "![Loss, held-out loss and gradient norm against steps](curves.svg)" in text


def test_the_front_matter_names_a_base_model_that_hubs_know_and_no_folder() -> None:
    assert "base_model" not in front_matter(card(trained(), metrics()))
    found = front_matter(card(trained(base="org/model", base_is_hub_name=True), metrics()))
    assert (found["base_model"], found["library_name"]) == ("org/model", "transformers")


def front_matter(text: str) -> dict[str, object]:
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_an_instruction_generator_says_what_it_is_for_and_how_it_is_asked() -> None:
    text = card(trained(task="instruct"), metrics())
    assert cells(text)["trained for"] == "instruct"
    assert "`sedi generate --producer goliath --backend transformers --model FOLDER`" in text
    assert "sedi chat" not in text
    assert front_matter(text)["tags"] != front_matter(card(trained(), metrics()))["tags"]


def test_many_evaluations_are_shown_by_the_first_and_the_last() -> None:
    many = tuple(
        HeldOutLine(step=at, loss=1.0, rows=2, tokens=20, seconds=1.0, file="f", sha256="a") for at in range(40)
    )
    text = card(trained(), Metrics(None, metrics().steps, many))
    shown = [int(at) for at in re.findall(r"^\| (\d+) \| 1\.0000 \|$", text, re.MULTILINE)]
    assert shown == [*range(5), *range(35, 40)]


def test_what_is_not_known_is_not_made_up() -> None:
    text = card(trained(), Metrics())
    assert cells(text)["loss of the first and the last step"] == "–, –"
    assert "Held-out rows" not in text
    unknown = metrics(loss=None, grad_norm=None)
    assert cells(card(trained(), unknown))["gradient norm of these"] == "–, –"


def test_the_curves_show_all_three_and_are_the_same_bytes_again() -> None:
    found = curves(metrics(steps=120))
    assert found == curves(metrics(steps=120))
    for text in ("training", "held out", "gradient norm", "step", "loss"):
        assert f">{text}</text>" in found
    assert "<dc:date>" not in found


def test_there_are_curves_of_a_training_that_measured_nothing() -> None:
    assert ">gradient norm</text>" in curves(Metrics())
    assert ">held out</text>" in curves(Metrics(None, (), metrics().held_out))
