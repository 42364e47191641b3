"""How fast segments are scored: our scorer in one stage and in two, beside a plain loop.

The loop is what one writes first: for each candidate two passes, with it and without, one row at a time, with all
logits, in fp32. All sides have one thread and take the segments in turn.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from producers.backends.base import Request, Scoring
from producers.documents.scoring.local import LocalScorer
from schemas.events import Instruction
from schemas.segments import SegmentScores

Asked = tuple[str, Sequence[Instruction]]
"""A segment and its candidates."""


@dataclass
class SideTimes:
    """Seconds of one side."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time of what runs within."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu


@dataclass(frozen=True)
class ScoringSpeed:
    """Seconds of so many segments with so many candidates each: in one stage, in two, and in a plain loop."""

    candidates: int
    segments: int
    one: SideTimes = field(default_factory=SideTimes)
    two: SideTimes = field(default_factory=SideTimes)
    plain: SideTimes = field(default_factory=SideTimes)


def timed(
    scorers: tuple[LocalScorer, LocalScorer], folder: Path, asked: Sequence[Asked], step: Callable[..., None]
) -> ScoringSpeed:
    """All sides, one after the other for each segment; they have the same number of candidates."""
    import torch

    from infra.models.loading import load_model, load_tokenizer

    model, tokenizer = load_model(str(folder), "fp32", None).eval(), load_tokenizer(str(folder))
    torch.set_num_threads(1)
    number = len(asked[0][1])
    found = ScoringSpeed(number, len(asked))
    one, two = (_scored_by(scorer) for scorer in scorers)
    works = ((found.one, one), (found.two, two), (found.plain, _plainly_by(model, tokenizer)))
    for _, work in works:
        work(asked[0][0], asked[0][1][:1])  # kernels are compiled in a first call
    for place, (segment, candidates) in enumerate(asked):
        step(f"speed with {number} candidates", place, found.segments)
        for side, work in works:
            with side.running():
                work(segment, candidates)
    return found


def scored(scorer: LocalScorer, segment: str, candidates: Sequence[Instruction]) -> SegmentScores:
    """The scores of candidates; their outputs are not looked at."""
    asked = tuple(Instruction(instruction=row.instruction, input=row.input) for row in candidates)
    return scorer.score(Request(scoring=Scoring(segment, asked)))[0]


def _scored_by(scorer: LocalScorer) -> Callable[[str, Sequence[Instruction]], object]:
    return lambda segment, candidates: scored(scorer, segment, candidates)


def _plainly_by(model: Any, tokenizer: Any) -> Callable[[str, Sequence[Instruction]], object]:
    """What one writes first: a pass for each candidate, and one without it."""
    import torch

    def loglikelihood(prompt: str, segment: str) -> float:
        turn = [{"role": "user", "content": prompt}]
        before = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        prefix = tokenizer(before, return_tensors="pt", add_special_tokens=False)["input_ids"]
        whole = tokenizer(before + segment, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = torch.log_softmax(model(input_ids=whole).logits.float(), dim=-1)
        at = torch.arange(prefix.shape[1] - 1, whole.shape[1] - 1)
        return float(logits[0, at, whole[0, at + 1]].sum())

    return lambda segment, candidates: [
        loglikelihood(f"{row.instruction}\n\n{row.input}".strip(), segment) - loglikelihood("", segment)
        for row in candidates
    ]
