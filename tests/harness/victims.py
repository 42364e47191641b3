"""A process of a run that kills itself: one of `sedi`'s commands, such as `sedi worker`.

The environment names the point (`KILL_AT`) and how often it is reached before (`KILL_HIT`). Then the name is appended
to the file `KILL_MARKS`, and the process sends itself SIGKILL, without flush or cleanup. The points are patched around
methods of the real program, which does not know them.
"""

import functools
import importlib
import inspect
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Point:
    """Where a victim dies.

    where    "module:name" or "module:Class.name" of a function, which is looked up there when it is called
    when     before or after it; "confirmed": after what it returned was awaited too
    of       only when an event of this type, or a record for this topic, is among its arguments
    proves   what holds if a death here changes nothing
    """

    victim: Literal["worker", "releases", "generate", "documents", "answer", "train"]
    where: str
    when: Literal["before", "after", "confirmed"]
    proves: str
    of: str | None = None


_OUTLET = "streams.worker.outlet:Outlet"
_WRITER = "streams.worker.block_writer:BlockWriter"
_FILTER = "streams.worker.filter:FilterAgent"
_CALLER = "producers.calls.caller:Caller.write"
_SCORER = "producers.documents.scoring.local:LocalScorer.complete"
_SAVE = "consumers.trainer.result.checkpoint:Checkpoints.save"
_WINDOW = "infra.log.writer:LogWriter.write"

POINTS = {
    # the worker
    "decided": Point(
        "worker", f"{_OUTLET}.write", "before", "a decision nobody heard of is made again", "InstructionKept"
    ),
    "half emitted": Point(
        "worker", f"{_WRITER}._write", "after", "rows emitted without their `rejected` are emitted again", "kept"
    ),
    "emitted": Point(
        "worker",
        f"{_OUTLET}.write",
        "after",
        "what was emitted and not stored is emitted again, the same",
        "InstructionsRejected",
    ),
    "half remembered": Point("worker", f"{_FILTER}._store_scores", "before", "scores that lag behind rows are mended"),
    "remembered": Point("worker", f"{_FILTER}._store", "after", "a table whose changelog lags is made up for"),
    "classifier fitted": Point(
        "worker", f"{_OUTLET}.write", "before", "a fit nobody heard of is made again", "ClassifierFitted"
    ),
    "classifier emitted": Point(
        "worker", f"{_OUTLET}.write", "after", "a fit on the log is used and not made again", "ClassifierFitted"
    ),
    "before recovering": Point("worker", f"{_FILTER}.recover", "before", "recovering leaves nothing behind"),
    "recovered": Point("worker", f"{_FILTER}.recover", "after", "recovering may be done any number of times"),
    "seeds read again": Point(
        "worker", "streams.worker.feedback:SeedTable.apply", "after", "a pool half read is read again from the start"
    ),
    "starting": Point("worker", "streams.worker.cursor:Cursor.start", "before", "agents may start one without another"),
    "filling": Point("worker", "streams.worker.cursor:Cursor._fill", "before", "a gap that was seen is seen again"),
    "scores mended": Point("worker", f"{_FILTER}.repair_scores", "after", "mending the score table may be cut short"),
    "window seen": Point(
        "worker", "streams.worker.feedback:FeedbackAgent.apply", "before", "a window nobody answered is answered"
    ),
    "answered": Point(
        "worker", f"{_OUTLET}.write", "before", "an answer nobody heard of is made again", "ReplaceSeeds"
    ),
    "command emitted": Point(
        "worker", f"{_OUTLET}.write", "after", "an answer on the log is not given twice", "ReplaceSeeds"
    ),
    "revoked": Point(
        "worker", "faust.app.base:App._on_partitions_revoked", "before", "a rebalance that a death cuts short is done"
    ),
    # the worker of a run that releases rows
    "release made": Point(
        "releases", f"{_OUTLET}.write", "before", "a release nobody heard of is made again", "InstructionsReleased"
    ),
    "release emitted": Point(
        "releases", f"{_OUTLET}.write", "after", "a release on the log is used, not made again", "InstructionsReleased"
    ),
    # the generator
    "call announced": Point("generate", _CALLER, "before", "a call never made is made", "CallStarted"),
    "call under way": Point("generate", _CALLER, "after", "a call whose answer was lost is made again", "CallStarted"),
    "answer in hand": Point("generate", _CALLER, "before", "an answer that was not stored is asked", "CallAnswered"),
    "answer stored": Point("generate", _CALLER, "after", "an answer that was stored is not paid again", "CallAnswered"),
    "generation sent": Point(
        "generate",
        "infra.log.writer:LogWriter.send",
        "after",
        "a generation that may be written is written once",
        "InstructionsGenerated",
    ),
    "generation written": Point(
        "generate", _CALLER, "after", "numbers go on after the last on the log", "InstructionsGenerated"
    ),
    # the generator from documents, beside the points of the other one
    "scoring begins": Point("documents", _SCORER, "before", "scores never computed are computed"),
    "scored": Point("documents", _SCORER, "after", "scores that were not stored are computed again, the same"),
    # the answerer, beside the points of the generator that are about calls
    "row answered": Point("answer", _CALLER, "before", "a row not written is written", "InstructionAnswered"),
    "answered row sent": Point(
        "answer",
        "infra.log.writer:LogWriter.send",
        "after",
        "a row that may be written is one row to its readers",
        "InstructionAnswered",
    ),
    "answered row written": Point("answer", _CALLER, "after", "a row on the log is passed over", "InstructionAnswered"),
    # the trainer
    "step done": Point(
        "train", "consumers.trainer.engine.step:Engine.step", "after", "steps since the checkpoint are the same again"
    ),
    "window complete": Point("train", _WINDOW, "before", "a window not written is trained again", "TrainingLogged"),
    "window written": Point("train", _WINDOW, "after", "a window on the log is not written again", "TrainingLogged"),
    "before saving": Point("train", _SAVE, "before", "the checkpoint before the last one serves"),
    "half saved": Point(
        "train", "consumers.trainer.engine.step:Engine.save", "after", "a checkpoint without its seal is passed over"
    ),
    "saved": Point("train", _SAVE, "after", "a checkpoint that nobody heard of serves"),
}


def points_of(victim: str) -> list[str]:
    return [name for name, point in POINTS.items() if point.victim == victim]


def arm(name: str, hit: int, marks: Path) -> None:
    """Let this process die at the hit-th time that it comes to a point."""
    point = POINTS[name]
    module_name, _, path = point.where.partition(":")
    owner: Any = importlib.import_module(module_name)
    *classes, function = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    left = [hit]

    def reached(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if point.of is not None and not _among(point.of, [*arguments, *keywords.values()]):
            return
        left[0] -= 1
        if left[0] == 0:
            with marks.open("a") as file:
                file.write(f"{name}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, function, _wrapped(getattr(owner, function), point.when, reached))


def _wrapped(original: Any, when: str, reached: Callable[[tuple[Any, ...], dict[str, Any]], None]) -> Any:
    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def slow(*arguments: Any, **keywords: Any) -> Any:
            if when == "before":
                reached(arguments, keywords)
            found = await original(*arguments, **keywords)
            if when == "confirmed":
                await found
            if when != "before":
                reached(arguments, keywords)
            return found

        return slow

    @functools.wraps(original)
    def fast(*arguments: Any, **keywords: Any) -> Any:
        if when == "before":
            reached(arguments, keywords)
        found = original(*arguments, **keywords)
        if when == "after":
            reached(arguments, keywords)
        return found

    return fast


def _among(name: str, arguments: list[Any]) -> bool:
    """Whether an argument is an event of this type, wraps one, is a list with one, or names this topic."""
    for argument in arguments:
        if isinstance(argument, list | tuple):
            if _among(name, list(argument)):
                return True
        elif name in (type(argument).__name__, type(getattr(argument, "event", None)).__name__) or (
            isinstance(argument, str) and argument.endswith(f".{name}")
        ):
            return True
    return False


def main(arguments: Sequence[str]) -> int:
    """Run `sedi` with these arguments, and die as the environment says."""
    if name := os.environ.get("KILL_AT"):
        if POINTS[name].victim == "train":
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
        arm(name, int(os.environ["KILL_HIT"]), Path(os.environ["KILL_MARKS"]))
    from sedi.main import main as sedi

    return sedi(list(arguments))
