"""Records the golden logs: `python -m tests.golden.record undisturbed [FOLDER]`, some minutes; no test runs it.

Each run is real: a temporary broker, the worker, the generator on recorded answers, a tiny model. The vocabulary is
small, so that the classifiers have few numbers. An existing archive is never overwritten: a new version of the format
gets its own golden log.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from consumers.dead_letters import missing
from consumers.replay import audit
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.archive import ArchiveSource
from infra.log.archiving import write_archive
from infra.log.reader import LogReader
from infra.log.run import configure_run
from infra.log.source import TOPICS, KafkaSource
from infra.settings import Settings
from schemas.policy import policy_for
from schemas.seeds import SeedTask
from streams.core.decider import first_classifier
from tests.conftest import ROOT
from tests.e2e.driver import Terminal
from tests.golden import HERE, NAMES
from tests.harness.crew import Crew
from tests.integration.raw_records import RawRecord, write_raw
from tests.unit.trainer.tiny import save_tiny

SETTINGS = {
    "batch_size": 2,
    "refit_from": 16,
    "window_steps": 2,
    "warm_up_steps": 2,
    "seeds_per_request": 2,
    "candidate_threshold": 0.75,
}
VERBS = ("Explain", "Compare", "Name", "List", "Praise", "Draw", "Sing")
NOUNS = ("rivers", "bread", "tea", "salt", "trains", "rain", "ink", "cats", "bells", "honey")
KINDS = ("for a child", "in two lines", "as a poem", "step by step", "with care", "at night")
BROKEN = ("Explain tea", "Write a program that lists trains", '"Tea" or salt at night', "«Tea» or salt at night")
GENERATE = ("--style", "alpaca", "--backend", "recorded", "--recorded", "answers.jsonl", "--total", "5")
TRAIN = ("--model", "./trainee", "--precision", "fp32", "--threads", "1", "--lr", "1e-2", "--checkpoint-every", "2")
REMEMBERED = ("through_offset", "checked", "repeats", "unreadable", "digests", "records")
PATIENT = {"SEDI_MAX_FILTER_LAG": "1"}  # so that windows are answered in between


def seeds() -> tuple[SeedTask, ...]:
    """A few short seeds."""
    pairs = zip(VERBS[:5] * 2, NOUNS, strict=True)
    texts = [f"{verb} {noun} {KINDS[place % 6]} to a friend" for place, (verb, noun) in enumerate(pairs)]
    return tuple(SeedTask(id=f"s{place}", instruction=text, output="So be it.") for place, text in enumerate(texts[:8]))


def write_answers(file: Path, count: int, seed: int) -> None:
    """Answers of three tasks each, which continue a list of two; some break a rule, some are near-duplicates."""
    draw = random.Random(seed)
    lines = []
    for number in range(count):
        parts = []
        for place in (3, 4, 5):
            what = f"{draw.choice(VERBS)} {draw.choice(NOUNS)} and {draw.choice(NOUNS)} {draw.choice(KINDS)}"
            what = draw.choice(BROKEN) if draw.random() < 0.08 else what
            output = "" if draw.random() < 0.04 else " ".join(draw.choices(NOUNS, k=draw.randrange(2, 6)))
            parts.append(f"{place}. Instruction: {what}\n{place}. Input: <noinput>\n{place}. Output: {output}")
        raw = "\n###\n".join(parts).removeprefix("3. Instruction:")
        if number % 9 == 4:
            raw = raw.replace("4. Output:", "4. Result:")  # not parsable as a task
        lines.append(json.dumps({"raw": raw, "usage": {"prompt_tokens": 90, "completion_tokens": 60}}))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def undisturbed(settings: Settings, folder: Path) -> None:
    """`sedi run`, as a user does."""
    write_answers(folder / "answers.jsonl", 32, seed=1)
    lines = []
    for seed in seeds():
        instances = [{"input": seed.input, "output": seed.output}]
        lines.append(json.dumps({"id": seed.id, "instruction": seed.instruction, "instances": instances}))
    (folder / "seeds.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    policy = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    generate = [*GENERATE, "--max-generations", "32", "--max-ahead", "4"]
    arguments = [
        "run",
        "--run",
        "undisturbed",
        "--seeds",
        "seeds.jsonl",
        *policy,
        *(word for argument in generate for word in ("--generate", argument)),
        *(word for argument in TRAIN for word in ("--train", argument)),
    ]
    done = Terminal(settings, folder).sedi(*arguments, timeout_s=240, **PATIENT)
    assert done.returncode == 0, done.stderr


def interrupted(settings: Settings, folder: Path) -> None:
    """Each process is killed several times, at points where others have seen part of its work."""
    crew = _crew(settings, "interrupted", folder, 17)
    try:
        crew.add(
            "worker",
            "worker",
            deaths=[("emitted", 4), ("half emitted", 3), ("command emitted", 1), ("half emitted", 2)],
        )
        crew.add("trainer", "train", *TRAIN, deaths=[("step done", 3), ("window written", 1)])
        crew.add(
            "generator",
            "generate",
            *GENERATE,
            "--max-generations",
            "17",
            "--max-ahead",
            "4",
            deaths=[("call under way", 4), ("answer stored", 4), ("generation sent", 4)],
        )
        crew.wait(lambda: crew.members["generator"].done, 240, "the generator ends")
        crew.wait(_decided(settings, "interrupted"), 120, "all is decided")
        crew.wait(lambda: not crew.tend() and crew.members["worker"].lives == 5, 60, "the worker dies four times")
        time.sleep(5)
        for name in ("trainer", "worker"):
            crew.end(name)
    finally:
        crew.stop()


def dead_letters(settings: Settings, folder: Path) -> None:
    """Unreadable records among the others, on every topic except `run`."""
    crew = _crew(settings, "dead-letters", folder, 6)
    try:
        crew.add("generator", "generate", *GENERATE, "--max-generations", "3")
        crew.wait(lambda: crew.members["generator"].done, 60, "the generator ends")
        newer = [("ce_specversion", b"1.0"), ("ce_type", b"sedi.InstructionsGenerated.v99")]
        bad = [
            RawRecord("generated", 0, b"key", b"not \xff JSON", [("ce_type", b"sedi.InstructionsGenerated.v1")]),
            RawRecord("generated", 0, None, None, [("ce_type", b"sedi.InstructionsGenerated.v1")]),
            RawRecord("generated", 0, b"key", b'{"lane": "main"}', newer),
            *(
                RawRecord(topic, 0, b"key", b"{}", [("ce_type", b"sedi.NoSuchThing.v1")])
                for topic in TOPICS
                if topic not in ("run", "generated")
            ),
        ]
        write_raw(settings, "dead-letters", bad)
        crew.add("worker", "worker")
        crew.add("later", "generate", *GENERATE, "--max-generations", "6")
        crew.wait(lambda: crew.members["later"].done, 60, "the generator ends again")
        crew.wait(_decided(settings, "dead-letters"), 60, "all is decided")
        source = KafkaSource(settings, "dead-letters")
        crew.wait(lambda: not missing(source), 60, "all that cannot be read is among the dead letters")
        crew.end("worker")
    finally:
        crew.stop()


def _crew(settings: Settings, run: str, folder: Path, answers: int) -> Crew:
    write_answers(folder / "answers.jsonl", answers, seed=2)
    policy = policy_for(**SETTINGS)
    configure_run(settings, run, policy, seeds(), versions={}, classifier=first_classifier(policy, seeds()))
    return Crew(settings, run, folder)


def _decided(settings: Settings, run: str) -> Callable[[], bool]:
    def all_decided() -> bool:
        with LogReader(settings, run, ["generated", "rejected"]) as reader:
            ends, decided = reader.ends(), set()
            for record in reader.read_to_end():
                if record.topic == "rejected" and record.event is not None:
                    decided.add(record.event.generated_offset)
        return len(decided) == ends["generated", 0]

    return all_decided


RECORDINGS: dict[str, Callable[[Settings, Path], None]] = dict(
    zip(NAMES, (undisturbed, interrupted, dead_letters), strict=True)
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("folder", nargs="?", type=Path, help="where to write the archive; default: tests/golden/<name>")
    given = parser.parse_args()
    to = given.folder or HERE / given.name
    with tempfile.TemporaryDirectory(prefix="golden-") as raw:
        folder = Path(raw)
        save_tiny(folder / "trainee")
        own = Settings(state_dir=folder / "state", cache_dir=ROOT / ".cache")
        with temporary_broker(own) as broker:
            RECORDINGS[given.name](broker.settings, folder)
            write_archive(broker.settings, given.name, to)
    if given.folder is None:
        remember()


def remember() -> None:
    """Write the audit of each golden log into `found.json`, which the tests compare with."""
    found = {}
    for name in NAMES:
        audited = audit(ArchiveSource(HERE / name))
        assert audited.divergences == 0, audited.first
        found[name] = {key: msgspec.to_builtins(getattr(audited, key)) for key in REMEMBERED}
    (HERE / "found.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
