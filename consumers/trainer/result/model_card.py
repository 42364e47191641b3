"""`README.md` of a trained model: what it was trained on and how, with the YAML front matter that model hubs read.

All numbers come from `metrics.jsonl` and the checkpoint, so they are of the whole training and not of its last session.
"""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

import msgspec
import yaml

from consumers.markdown import plain, table, value
from consumers.trainer.record.curves import CURVES
from consumers.trainer.record.metrics import Metrics
from consumers.trainer.result.checkpoint import Settings
from infra.distribution import VERSION
from infra.models.turned_rows import Task
from infra.visible import visible
from schemas.policy import Policy
from streams.core.answering import rows_topic
from streams.core.batches import PartitionPosition

CARD = "README.md"
_PACKAGES = ("torch", "transformers", "tokenizers", "deepspeed", "peft")
_PURPOSE: dict[Task, str] = {
    "follow": "A causal language model, trained on instruction data. Nobody has checked whether what it says is true.",
    "instruct": "A causal language model, trained on instruction data turned round: given a text, it writes an "
    "instruction that the text answers, and below it, after `Input:`, what the instruction is about if that is needed. "
    "It does not follow instructions. Nobody has checked whether what it writes fits the text.",
}
_USE: dict[Task, str] = {
    "follow": "`sedi chat FOLDER`",
    "instruct": "`sedi generate --producer goliath --backend transformers --model FOLDER`",
}
_FIRST_AND_LAST = 5  # evaluations shown from each end when there are many


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """What the card describes.

    task        what it was trained for
    source      where the rows were read from, in words
    base        the base model: a hub name, or a folder's name
    settings    of the training, as its checkpoints hold them
    covered     end of the first epoch in each partition
    offsets     the same as offsets of the run's topic with rows; None: the rows are a file's
    """

    run: str
    task: Task
    source: str
    base: str
    base_is_hub_name: bool
    policy: Policy
    settings: Settings
    epochs: int
    steps: int
    covered: Mapping[int, PartitionPosition]
    offsets: tuple[int, ...] | None = None


def card(trained: TrainedModel, metrics: Metrics) -> str:
    """The card as Markdown; it shows the curves beside it."""
    steps, template, topic = metrics.steps, trained.settings["template"], rows_topic(trained.policy)
    facts = [
        ("run", trained.run),
        ("trained for", trained.task),
        ("rows read from", trained.source),
        ("base model", trained.base),
        ("template", template),
        ("steps, epochs", f"{trained.steps:,}, {trained.epochs}"),
        ("rows trained", f"{sum(line.rows for line in steps):,}"),
        ("of them in another cluster's slot", f"{sum(line.borrowed for line in steps):,}"),
        ("rows of the first epoch", f"{sum(line.rows for line in steps if line.epoch == 1):,}"),
        ("tokens, prompts included", _tokens(metrics)),
        ("response tokens, in the loss", f"{sum(line.tokens for line in steps):,}"),
        ("time in steps", f"{sum(line.seconds for line in steps):,.0f} s"),
        ("loss of the first and the last step", f"{_number(steps, 0, 'loss')}, {_number(steps, -1, 'loss')}"),
        ("gradient norm of these", f"{_number(steps, 0, 'grad_norm')}, {_number(steps, -1, 'grad_norm')}"),
    ]
    sections = [
        f"---\n{_front_matter(trained)}---",
        f"# {plain(trained.base)}, trained on {plain(trained.run)}",
        _PURPOSE[trained.task],
        table(("", ""), facts),
        "## Curves",
        f"![Loss, held-out loss and gradient norm against steps]({CURVES})",
        *_held_out(metrics),
        "## Use it",
        f"{_USE[trained.task]}, or `transformers`: it was trained with the template `{template}`"
        + (", which is the tokenizer's own chat template." if template == "chat" else ".")
        + " The loss was that of the responses alone.",
        "## Rows",
        f"Of each cluster, which is a partition of the run's topic `{topic}`, all rows before the offset "
        f"{'whose answer is used ' if topic == 'answered' else ''}were trained, in their order.",
        table(("cluster", "up to offset"), ((cluster, at.offset) for cluster, at in sorted(trained.covered.items()))),
        "## Training",
        table(("setting", "value"), ((name, value(setting)) for name, setting in trained.settings.items())),
        "## Policy of the run",
        table(("setting", "value"), ((n, value(one)) for n, one in msgspec.to_builtins(trained.policy).items())),
        "## Versions",
        table(("", "version"), versions().items()),
    ]
    return visible("\n\n".join(sections) + "\n")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that train."""
    found = {"python": platform.python_version(), "sedi": VERSION}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _front_matter(trained: TrainedModel) -> str:
    fields = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        **({"base_model": trained.base} if trained.base_is_hub_name else {}),
        "tags": ["instruction-tuning" if trained.task == "follow" else "instruction-generation", "synthetic"],
        "license": "unknown",
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _held_out(metrics: Metrics) -> list[str]:
    curve = metrics.held_out_curve
    if not curve:
        return []
    shown = [*curve[:_FIRST_AND_LAST], *curve[max(_FIRST_AND_LAST, len(curve) - _FIRST_AND_LAST) :]]
    rows = [(line.step, "not finite" if line.loss is None else f"{line.loss:.4f}") for line in shown]
    return [
        "## Held-out rows",
        f"Mean loss over the {curve[-1].tokens:,} response tokens of {curve[-1].rows:,} rows of "
        f"`{plain(curve[-1].file)}`, which were not trained.",
        table(("after step", "loss"), rows),
    ]


def _tokens(metrics: Metrics) -> str:
    counted = [line.all_tokens for line in metrics.steps]
    return f"{sum(n for n in counted if n is not None):,}" + (" and more" if None in counted else "")


def _number(steps: tuple[object, ...], place: int, name: str) -> str:
    found = getattr(steps[place], name) if steps else None
    return "–" if found is None else f"{found:.4g}"
