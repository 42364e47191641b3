"""Fixtures of the core's tests: seeds, generations and states, and the public instructions."""

import gc
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from infra.models.embeddings import embedder_for
from schemas import ids, native
from schemas.events import ClassifierFitted, Instruction, InstructionsGenerated, InstructionsRejected, RunConfigured
from schemas.policy import Policy, policy_for
from schemas.seeds import SeedTask, parse_seed_lines
from streams.core import decider
from streams.core.decider import FilterState, Verdict

ROOT = Path(__file__).resolve().parents[3]

ONE_CLUSTER = policy_for(batch_size=1)


def compiled_core() -> Any:
    """The compiled core; what needs it is skipped where it is not installed, or goes with other sources."""
    core = pytest.importorskip("sedi_native", reason="The compiled core is not installed; make native builds it.")
    if core.VERSION != native.VERSION:
        pytest.skip(
            "The compiled core that is installed goes with other sources; make native builds it.",
            allow_module_level=True,
        )
    return core


def seeds_of(*texts: str) -> tuple[SeedTask, ...]:
    """Seeds s0, s1, ... with these instructions."""
    return tuple(SeedTask(id=f"s{place}", instruction=text, output="so") for place, text in enumerate(texts))


def own_seeds() -> tuple[SeedTask, ...]:
    """The project's own seed tasks."""
    path = ROOT / "producers" / "seeds" / "seed_tasks.jsonl"
    return parse_seed_lines(path.read_text(encoding="utf-8").splitlines(), path.name)


def configured(policy: Policy = ONE_CLUSTER, seeds: Sequence[SeedTask] | None = None) -> RunConfigured:
    """A run with a policy and the project's own seeds."""
    return RunConfigured(run="t", policy=policy, seeds=tuple(own_seeds() if seeds is None else seeds), versions={})


def generation(
    number: int, texts: Iterable[str | Instruction], *, lane: str = "g0", seed_ids: Sequence[str] = ("s0", "s1", "s2")
) -> InstructionsGenerated:
    """The number-th generation of a lane, with these instructions."""
    return InstructionsGenerated(
        lane=lane,
        number=number,
        style="alpaca",
        parser="strict",
        backend="recorded",
        model="none",
        parameters={},
        seed_ids=tuple(seed_ids),
        seed_commands_offset=-1,
        answers=(),
        instructions=tuple(Instruction(instruction=t, output="so") if isinstance(t, str) else t for t in texts),
        unparsed=(),
        cost_usd=None,
    )


def fresh_state(policy: Policy = ONE_CLUSTER, seeds: Sequence[SeedTask] | None = None) -> FilterState:
    """A state that is ready for the record at offset 0."""
    run = configured(policy, seeds)
    state = decider.initial_state(run, embedder_for(policy))
    return decider.use_classifier(state, first_classifier(policy, run.seeds))


@lru_cache(maxsize=50)
def first_classifier(policy: Policy, seeds: tuple[SeedTask, ...]) -> ClassifierFitted:
    """The classifier that a run starts with, fitted once."""
    return decider.first_classifier(policy, seeds, embedder_for(policy))


def decided(state: FilterState, event: InstructionsGenerated, offset: int | None = None) -> Verdict:
    """Decide on a generation, by default at the next offset, and evolve the state."""
    at = state.applied + 1 if offset is None else offset
    verdict = decider.decide(state, at, ids.generation_id(event.lane, event.number), event)
    decider.apply(state, verdict.decision)
    return verdict


@dataclass
class Fold:
    """The decisions of one pass over a log, with refits when due; None is an unreadable record."""

    state: FilterState
    verdicts: list[Verdict] = field(default_factory=list)
    classifiers: list[ClassifierFitted] = field(default_factory=list)

    def take(self, event: InstructionsGenerated | None) -> None:
        if event is None:
            verdict = decider.empty_verdict(self.state, self.state.applied + 1)
            decider.apply(self.state, verdict.decision)
        else:
            verdict = decided(self.state, event)
        self.verdicts.append(verdict)
        due = decider.due_classifier(self.state)
        if due is not None:
            self.classifiers.append(due)
            decider.use_classifier(self.state, due)

    @property
    def rejected(self) -> list[InstructionsRejected]:
        return [verdict.rejected for verdict in self.verdicts]


def in_one_go(run: RunConfigured, log: Iterable[InstructionsGenerated | None]) -> Fold:
    """Fold a whole log without a crash."""
    fold = Fold(fresh_state(run.policy, run.seeds))
    for event in log:
        fold.take(event)
    return fold


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No garbage collection: one of all objects of a test session takes longer than what is measured."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def classic_instructions(data: Path) -> list[str]:
    """The first 26,000 instructions of the public set, in their order."""
    with gzip.open(data / "alpaca" / "alpaca_data_00001_26000.json.gz") as file:
        return [row["instruction"] for row in json.load(file)]


@pytest.fixture(scope="session")
def classic_seeds(data: Path) -> tuple[SeedTask, ...]:
    """The 175 public seed tasks."""
    path = data / "seeds" / "self_instruct_seed_tasks.jsonl"
    return parse_seed_lines(path.read_text(encoding="utf-8").splitlines(), path.name)
