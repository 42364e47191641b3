"""Says hostile texts through every command and card that shows texts, for a terminal that somebody counts at.

    python -m tests.unit.sedi.hostile FOLDER [--as-they-are] [--no-files]

FOLDER gets two archives whose rows, seeds, answers, model names and errors hold `HOSTILE`. Before the output of each
scene stands a line `=== NAME`. With `--as-they-are`, `infra.visible` does nothing: so the counting itself is tested.
With `--no-files` only the scenes before cards and pages are shown, which are in UTF-8 whatever the terminal is in.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HOSTILE = "\x1b]0;x\x07\x9b2J\u202eE\u202c\u2066i\u2069\u200f\x7f\x85\r[red]:bomb:"
_TOPICS = ("run", "calls", "generated", "rejected", "seed-commands", "training-log", "kept")
_TEXTS = {"instruction", "input", "output", "raw", "error", "reason", "text", "model", "backend"}


def spoilt(value: Any, key: str = "") -> Any:
    """The value with every text that people or models write made hostile."""
    match value:
        case dict():
            return {name: spoilt(inner, name) for name, inner in value.items()}
        case list():
            return [spoilt(inner, key) for inner in value]
        case str() if key in _TEXTS:
            return f"{HOSTILE} {value}"
        case _:
            return value


def archives(folder: Path) -> tuple[Path, Path]:
    """A run's archive, and one with dead letters."""
    from tests.golden import HERE
    from tests.golden.edits import Log

    log = Log(HERE / "undisturbed")
    for topic in _TOPICS:
        for partition in range(2 if topic == "kept" else 1):
            for offset, value in enumerate(log.values(topic, partition)):
                if value:
                    log.change(topic, offset, lambda said: said.update(spoilt(said)), partition)
    log.write(folder / "run")
    letters = Log(HERE / "dead-letters")
    letters.reword("generated.dlq", 0, "dlq_error", f"MalformedEvent: {HOSTILE}")
    letters.overwrite("generated.dlq", 0, f"not JSON {HOSTILE}")
    letters.overwrite("generated.dlq", 1, '{"a": "\x9b2J\u202e\x7f"}')
    letters.write(folder / "letters")
    return folder / "run", folder / "letters"


def scenes(folder: Path, *, no_files: bool) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is shown, by name."""
    from infra.log.archive import ArchiveSource
    from schemas.events import InstructionKept, InstructionsRejected
    from sedi.main import main
    from sedi.output import notify

    run, letters = archives(folder)
    with ArchiveSource(run).open(["kept", "rejected", "run", "calls", "generated"]) as reading:
        records = list(reading.rest())
    with ArchiveSource(letters).open(["generated.dlq"]) as reading:
        unread = list(reading.rest())
    kept = next(record.event for record in records if isinstance(record.event, InstructionKept))
    lost = next(r.event for r in records if isinstance(r.event, InstructionsRejected) and r.event.rejections)

    def command(*arguments: str) -> Callable[[], object]:
        return lambda: main([*arguments, "--from-files", str(run)])

    for extra in ((), ("--json",)):
        name = "".join(extra)
        yield f"seeds list{name}", command("seeds", "list", *extra)
        yield f"seeds history{name}", command("seeds", "history", *extra)
        yield f"report{name}", command("report", "--seeds", *extra)
        yield f"explain kept{name}", command("explain", kept.id, *extra)
        yield f"withdraw{name}", command("withdraw", kept.id, "--dry-run", *extra)
        for what in (("list",), ("show", "generated", "0"), ("show", "generated", "1")):
            arguments = ["dlq", *what, "--from-files", str(letters), *extra]
            yield f"dlq {' '.join(what)}{name}", lambda said=arguments: main(said)
    yield "explain rejected", command("explain", lost.rejections[0].id)
    yield "explain generation", command("explain", kept.generation_id)
    yield "explain seed", command("explain", "664213a1-82a3-5eb8-8fe1-b713d41c750f")
    yield "an argument too many", lambda: main(["status", HOSTILE])
    yield "replay", command("replay", "--jobs", "1")
    yield "replay --at", command("replay", "--at", "9")
    if no_files:
        return
    yield (
        "compare",
        lambda: main(["report", "--compare", *(["--from-files", str(run)] * 2), "--html", f"{folder}/page"]),
    )
    yield "page", lambda: _show(folder / "page")
    yield "export", command("export", str(folder / "data"))
    yield "data card", lambda: _show(folder / "data" / "README.md")
    yield "model card", _model_card
    yield "a file name", lambda: main(["seeds", "import", f"{folder}/{HOSTILE}", "--name", "x"])
    yield "a seed file", lambda: _seed_file(folder)
    yield "progress", lambda: notify(f"Row 7 has no score: {HOSTILE}")
    yield "training", _training
    yield "a log record", _log
    yield "chat", _chat
    yield "dashboard", _dashboard
    yield "eval report", _evaluation
    for shown in ("lines", "json", "raw"):
        yield f"tail {shown}", lambda how=shown: _tail(how, [*records, *unread])


def _show(file: Path) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(file.read_bytes())


def _model_card() -> None:
    from consumers.trainer.result.model_card import card
    from tests.unit.trainer.test_model_card import metrics, trained

    sys.stdout.write(card(trained(base=HOSTILE, base_is_hub_name=True), metrics()))


def _seed_file(folder: Path) -> None:
    from sedi.main import main

    file = folder / "seeds.jsonl"
    file.write_text(f'{{"id": "{HOSTILE[2:4]}", "\x9b2J": 1}}', encoding="utf-8")
    main(["seeds", "import", str(file)])


def _training() -> None:
    from consumers.trainer import run

    run._to_stderr(f"Row {HOSTILE} cannot be read")


def _log() -> None:
    import logging

    logger = logging.getLogger("endpoint")
    logger.warning("refused: %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.exception("failed")


def _chat() -> None:
    from types import SimpleNamespace

    from sedi import chat

    chat._once(SimpleNamespace(answer=lambda asked: (piece for piece in HOSTILE)), "Hello", as_json=False)  # type: ignore[arg-type]


def _dashboard() -> None:
    import msgspec

    from consumers.folds.moment import LastRow, Moment
    from consumers.seed_table import SeedRow
    from sedi.live import LiveView
    from sedi.output import console
    from sedi.status import status_tables
    from tests.unit.sedi.test_live import STATUS, progress

    seed = SeedRow(id="s", instruction=HOSTILE, shown=1, generated=1, kept=1, score=1.0, since_offset=-1)
    kept = LastRow(id="k", instruction=HOSTILE, cluster=0)
    lost = LastRow(id="r", instruction=HOSTILE, reason=HOSTILE)
    moment = Moment(oldest_call_s=None, last_kept=kept, last_rejected=lost)
    status = msgspec.structs.replace(STATUS, lowest_seeds=(seed,), highest_seeds=(seed,), moment=moment)
    out = console()
    with LiveView(out) as view:
        view.say(f"Failed: {HOSTILE}")
        view.show(status, progress())
    out.print(status_tables(status))


def _evaluation() -> None:
    from consumers.evaluation.report import evaluation_report
    from sedi.eval.report import show_evaluation
    from tests.unit.consumers.evaluation.evaluation_story import whole_evaluation, with_texts
    from tests.unit.consumers.recorded_run import source_of

    show_evaluation(evaluation_report(source_of(with_texts(whole_evaluation(), HOSTILE))))


def _tail(how: str, records: list[Any]) -> None:
    from sedi import tail

    {"lines": tail._line_writer(), "json": tail._json, "raw": tail._raw}[how](records)


def main(folder: Path, *, as_they_are: bool, no_files: bool) -> None:
    """Show everything."""
    if as_they_are:
        import infra.visible

        infra.visible.visible = infra.visible.visible_json = str
    for name, show in scenes(folder, no_files=no_files):
        sys.stdout.write(f"=== {name}\n")
        sys.stdout.flush()
        show()
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), as_they_are="--as-they-are" in sys.argv, no_files="--no-files" in sys.argv)
