"""How well the perplexity of a segment tells its instruction from others, and how fast segments are scored.

Segments are outputs of rows of public data, with their own instruction as the true one. Others to choose from are
instructions of random rows, and the most similar ones of a large sample. Copies are the segment's own beginning as
a candidate. How fast it is: `perplexity_speed`.

Two stages are tried where they may fail: on candidates that are all alike, with the true one and without it.
"""

import gzip
import json
import os
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.perplexity_speed import ScoringSpeed, scored, timed
from infra.models.likelihood.engine import LikelihoodEngine
from infra.settings import load
from producers.backends.builtin.model import safetensors_folder
from producers.documents.scoring.local import LocalScorer
from producers.documents.scoring.options import ScorerOptions
from schemas.events import Instruction
from schemas.policy import Policy
from schemas.segments import SegmentScores
from streams.core.documents.copies import candidate_text, is_copy

ROWS = 60
STAGED_ROWS = 200
HEAD_TOKENS = 16
_OTHERS, _SIMILAR, _COPIES, _TRUE, _TIMED = 9, 5, 24, 500, 8
_CANDIDATES = (4, 1 + _OTHERS)
_WORDS = (20, 150)
_SENTENCE = re.compile(r"[^.!?]*[.!?]")

Step = Callable[..., None]


@dataclass(frozen=True)
class Ranks:
    """Of the true instruction among `of` candidates: how often it is first, and the mean of 1/rank."""

    rows: int
    of: int
    first: int
    reciprocal: float


@dataclass(frozen=True)
class StagesCompared:
    """Segments with four similar candidates whose winner is another in two stages: with the true instruction among
    them, and with wrong ones alone.

    dropped_*   because the first stage dropped the winner
    rounded_*   because two candidates are as good up to the precision, in which other tokens are computed together
    lost        by how many nats a token a winner is worse than one that was dropped, the most of all
    """

    segments: int
    dropped_with_true: int
    dropped_without: int
    rounded_with_true: int
    rounded_without: int
    lost: float


@dataclass(frozen=True)
class Found:
    """What was measured.

    auc_perplexity, auc_gain   chance that a right pair has the lower perplexity, or the higher gain, than a wrong one
    copies_rejected            of `copies`; `copies_win`: those that would have won against the true instruction
    true_rejected              true instructions that are taken for copies, of `true_checked`
    """

    precision: str
    random: Ranks
    similar: Ranks
    auc_perplexity: float
    auc_gain: float
    copies: int
    copies_rejected: int
    copies_win: int
    true_checked: int
    true_rejected: int
    speeds: list[ScoringSpeed]
    stages: StagesCompared


def data_file() -> Path:
    """Where the rows are: in `$SEDI_DATA/alpaca`, or beside the checkout."""
    return Path(os.environ.get("SEDI_DATA", "../shared/data")) / "alpaca" / "alpaca_data_00001_26000.json.gz"


def measure(rows: int, staged_rows: int, file: Path, step: Step) -> Found:
    """All of it, with the built-in model on the CPU."""
    everything = [Instruction(**row) for row in json.loads(gzip.decompress(file.read_bytes()))]
    fitting = [row for row in everything if _WORDS[0] <= len(row.output.split()) <= _WORDS[1]]
    sample = random.Random(42).sample(fitting, max(_TRUE, rows, staged_rows))
    chosen = sample[:rows]
    folder = safetensors_folder(load().cache_dir, step)
    engine = LikelihoodEngine(folder, device="cpu", threads=1)
    one, two = (_scorer(engine, head) for head in (0, HEAD_TOKENS))
    similar = _most_similar(sample[: max(rows, staged_rows)], fitting)
    picked = [_others(place, chosen) for place in range(rows)]
    timed_rows = chosen[:_TIMED]
    speeds = [
        timed(
            (one, two), folder, [(row.output, (row, *picked[at])[:number]) for at, row in enumerate(timed_rows)], step
        )
        for number in _CANDIDATES
    ]
    scores: list[SegmentScores] = []
    for place, row in enumerate(chosen):
        step("ranks", place, rows)
        scores.append(scored(one, row.output, (row, *picked[place], *similar[place])))
    copies, rejected, win = _copies(one, chosen, step)
    wrong = [(each, at) for each in scores for at in range(1, 1 + _OTHERS)]
    right = [(each, 0) for each in scores]
    policy = Policy()
    return Found(
        precision=engine.precision,
        random=_ranks(scores, range(1, 1 + _OTHERS)),
        similar=_ranks(scores, range(1 + _OTHERS, 1 + _OTHERS + _SIMILAR)),
        auc_perplexity=_auc([-_value(*pair) for pair in right], [-_value(*pair) for pair in wrong]),
        auc_gain=_auc([each.gain(at) or 0.0 for each, at in right], [each.gain(at) or 0.0 for each, at in wrong]),
        copies=copies,
        copies_rejected=rejected,
        copies_win=win,
        true_checked=_TRUE,
        true_rejected=sum(is_copy(candidate_text(row), row.output, policy) for row in sample[:_TRUE]),
        speeds=speeds,
        stages=_stages(one, two, sample[:staged_rows], similar, step),
    )


def _scorer(engine: LikelihoodEngine, head_tokens: int) -> LocalScorer:
    options = ScorerOptions(head_tokens=head_tokens)
    return LocalScorer(engine, options, model="builtin", sha256="0" * 64, template="chat")


def _value(scores: SegmentScores, place: int) -> float:
    found = scores.perplexity(place)
    return float("inf") if found is None else found


def _best(scores: SegmentScores) -> int:
    return min(range(len(scores.candidates)), key=lambda place: (_value(scores, place), place))


def _others(place: int, rows: Sequence[Instruction]) -> list[Instruction]:
    return random.Random(place).sample([row for at, row in enumerate(rows) if at != place], _OTHERS)


def _most_similar(rows: Sequence[Instruction], among: Sequence[Instruction]) -> list[list[Instruction]]:
    """Of each row the rows with the most similar instructions, other than its own."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True)
    matrix = vectorizer.fit_transform([candidate_text(row) for row in among])
    near = vectorizer.transform([candidate_text(row) for row in rows]) @ matrix.T
    found = []
    for row, line in zip(rows, near.toarray(), strict=True):
        order = (among[at] for at in line.argsort()[::-1])
        others = [other for other in (next(order) for _ in range(50)) if candidate_text(other) != candidate_text(row)]
        found.append(others[:_SIMILAR])
    return found


def _ranks(scores: Sequence[SegmentScores], others: range) -> Ranks:
    """Of place 0 among itself and the others."""
    ranks = [1 + sum(_value(each, at) < _value(each, 0) for at in others) for each in scores]
    return Ranks(len(ranks), 1 + len(others), ranks.count(1), sum(1 / rank for rank in ranks) / len(ranks))


def _auc(right: Sequence[float], wrong: Sequence[float]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([1] * len(right) + [0] * len(wrong), [*right, *wrong]))


def _copies(scorer: LocalScorer, rows: Sequence[Instruction], step: Step) -> tuple[int, int, int]:
    """How many copies there are, how many are rejected, and how many would have won against the truth."""
    policy, rejected, win = Policy(), 0, 0
    several = [(row, start) for row in rows if (start := _start(row.output))][:_COPIES]
    for place, (row, start) in enumerate(several):
        step("copies", place, len(several))
        copy = Instruction(instruction=start)
        rejected += is_copy(copy.instruction, row.output, policy)
        scores = scored(scorer, row.output, (row, copy))
        win += _value(scores, 1) < _value(scores, 0)
    return len(several), rejected, win


def _start(segment: str) -> str:
    """The first sentences, up to one that ends behind five words; empty if that is all of the segment."""
    start = ""
    for sentence in _SENTENCE.findall(segment):
        start += sentence
        if len(start.split()) > 5:
            break
    return "" if start.strip() == segment.strip() else start.strip()


def _stages(
    one: LocalScorer,
    two: LocalScorer,
    rows: Sequence[Instruction],
    similar: Sequence[Sequence[Instruction]],
    step: Step,
) -> StagesCompared:
    dropped, rounded, lost = [0, 0], [0, 0], 0.0
    for place, row in enumerate(rows):
        step("stages", place, len(rows))
        for number, candidates in enumerate(((row, *similar[place][:3]), similar[place][:4])):
            whole, staged = scored(one, row.output, candidates), scored(two, row.output, candidates)
            best, other = _best(whole), _best(staged)
            if staged.candidates[best] is None:
                dropped[number] += 1
                lost = max(lost, log(_value(whole, other) / _value(whole, best)))
            else:
                rounded[number] += best != other
    return StagesCompared(len(rows), *dropped, *rounded, lost)


def show(console: Console, found: Found) -> None:
    """The figures as text."""
    table = Table("measured", "value")
    for name, ranks in (("random others", found.random), ("the most similar others", found.similar)):
        table.add_row(
            f"true instruction first of {ranks.of}, {name}",
            f"{ranks.first} of {ranks.rows}; MRR {ranks.reciprocal:.3f}",
        )
    table.add_row("AUC of perplexity, of gain", f"{found.auc_perplexity:.3f}, {found.auc_gain:.3f}")
    table.add_row(
        "copies rejected; would have won", f"{found.copies_rejected} and {found.copies_win} of {found.copies}"
    )
    table.add_row("true instructions taken for copies", f"{found.true_rejected} of {found.true_checked}")
    for each in found.speeds:
        minute = [f"{60 * each.segments / side.wall_s:.1f}" for side in (each.one, each.two, each.plain)]
        table.add_row(
            f"segments/min, {each.candidates} candidates: one stage, two ({found.precision}), plain loop (fp32)",
            f"{', '.join(minute)}: {each.plain.wall_s / each.one.wall_s:.2f} and "
            f"{each.plain.wall_s / each.two.wall_s:.2f} times, {each.plain.cpu_s / each.one.cpu_s:.2f} and "
            f"{each.plain.cpu_s / each.two.cpu_s:.2f} by CPU time",
        )
    stages = found.stages
    table.add_row(
        f"{HEAD_TOKENS} tokens first: winners dropped of four alike, the true one among them; without it",
        f"{stages.dropped_with_true} and {stages.dropped_without} of {stages.segments}, at most {stages.lost:.3f} nats "
        f"a token better; by rounding {stages.rounded_with_true} and {stages.rounded_without} more differ",
    )
    console.print(table)


def write_json(path: Path, found: Found) -> None:
    """All results."""
    path.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
