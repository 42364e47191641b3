"""How well the perplexity of a segment tells its instruction from others, and how fast segments are scored.

Segments are outputs of rows of public data, with their own instruction as the true one. Others to choose from are
instructions of random rows, and the most similar ones of a large sample. Copies are the segment's own beginning as
a candidate. Our scorer is measured beside a plain loop: for each candidate two passes, with it and without, one row at
a time, with all logits, in fp32. Both have one thread and take the segments in turn.
"""

import gzip
import json
import os
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.models.likelihood.engine import LikelihoodEngine
from infra.settings import load
from producers.backends.base import Request, Scoring
from producers.backends.builtin.model import safetensors_folder
from producers.documents.scoring.local import LocalScorer
from producers.documents.scoring.options import ScorerOptions
from schemas.events import Instruction
from schemas.policy import Policy
from schemas.segments import SegmentScores
from streams.core.documents.copies import candidate_text, is_copy

ROWS = 60
HEAD_TOKENS = 12
_OTHERS, _SIMILAR, _COPIES, _TRUE, _TIMED = 9, 5, 24, 500, 12
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
class Found:
    """What was measured.

    auc_perplexity, auc_gain   chance that a right pair has the lower perplexity, or the higher gain, than a wrong one
    copies_rejected            of `copies`; `copies_win`: those that would have won against the true instruction
    true_rejected              true instructions that are taken for copies, of `true_checked`
    ours_s, plain_s            wall seconds of `timed` segments with ten candidates; `*_cpu_s`: of CPU time
    two_stage_s                seconds of all segments with a first stage, `one_stage_s` without; and winners changed
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
    timed: int
    ours_s: float
    ours_cpu_s: float
    plain_s: float
    plain_cpu_s: float
    one_stage_s: float
    two_stage_s: float
    winners_changed: int


def data_file() -> Path:
    """Where the rows are: in `$SEDI_DATA/alpaca`, or beside the checkout."""
    return Path(os.environ.get("SEDI_DATA", "../shared/data")) / "alpaca" / "alpaca_data_00001_26000.json.gz"


def measure(rows: int, file: Path, step: Step) -> Found:
    """All of it, with the built-in model on the CPU."""
    everything = [Instruction(**row) for row in json.loads(gzip.decompress(file.read_bytes()))]
    fitting = [row for row in everything if _WORDS[0] <= len(row.output.split()) <= _WORDS[1]]
    sample = random.Random(42).sample(fitting, max(_TRUE, rows))
    chosen = sample[:rows]
    folder = safetensors_folder(load().cache_dir, step)
    engine = LikelihoodEngine(folder, device="cpu", threads=1)
    one, two = (_scorer(engine, head) for head in (0, HEAD_TOKENS))
    similar = _most_similar(chosen, fitting)
    picked = [_others(place, chosen) for place in range(rows)]
    scores: list[SegmentScores] = []
    changed, seconds = 0, [0.0, 0.0]
    for place, row in enumerate(chosen):
        step("ranks", place, rows)
        candidates = (row, *picked[place], *similar[place])
        found = []
        for number, scorer in enumerate((one, two)):
            began = time.perf_counter()
            found.append(_scored(scorer, row.output, candidates))
            seconds[number] += time.perf_counter() - began
        scores.append(found[0])
        changed += _best(found[0]) != _best(found[1])
    copies, rejected, win = _copies(one, chosen, step)
    ours, plain = _timed(one, folder, chosen, picked, step)
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
        true_rejected=sum(is_copy(candidate_text(_asked(row)), row.output, policy) for row in sample[:_TRUE]),
        timed=min(_TIMED, rows),
        ours_s=ours[0],
        ours_cpu_s=ours[1],
        plain_s=plain[0],
        plain_cpu_s=plain[1],
        one_stage_s=seconds[0],
        two_stage_s=seconds[1],
        winners_changed=changed,
    )


def _scorer(engine: LikelihoodEngine, head_tokens: int) -> LocalScorer:
    options = ScorerOptions(head_tokens=head_tokens)
    return LocalScorer(engine, options, model="builtin", sha256="0" * 64, template="chat")


def _asked(row: Instruction) -> Instruction:
    return Instruction(instruction=row.instruction, input=row.input)


def _scored(scorer: LocalScorer, segment: str, candidates: Sequence[Instruction]) -> SegmentScores:
    return scorer.score(Request(scoring=Scoring(segment, tuple(map(_asked, candidates)))))[0]


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
        scores = _scored(scorer, row.output, (row, copy))
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


def _timed(
    scorer: LocalScorer, folder: Path, rows: Sequence[Instruction], others: Sequence[Sequence[Instruction]], step: Step
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(wall, CPU) seconds of our scorer and of the plain loop."""
    import torch

    from infra.models.loading import load_model, load_tokenizer

    model, tokenizer = load_model(str(folder), "fp32", None).eval(), load_tokenizer(str(folder))
    torch.set_num_threads(1)
    sums = [[0.0, 0.0], [0.0, 0.0]]
    for place, row in enumerate(rows[:_TIMED]):
        step("speed", place, min(_TIMED, len(rows)))
        candidates = (row, *others[place])
        for side, work in enumerate((_scored_by(scorer), _plainly_by(model, tokenizer))):
            wall, cpu = time.perf_counter(), time.process_time()
            work(row.output, candidates)
            sums[side][0] += time.perf_counter() - wall
            sums[side][1] += time.process_time() - cpu
    return (sums[0][0], sums[0][1]), (sums[1][0], sums[1][1])


def _scored_by(scorer: LocalScorer) -> Callable[[str, Sequence[Instruction]], object]:
    return lambda segment, candidates: _scored(scorer, segment, candidates)


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
    table.add_row(
        f"segments/min, ten candidates: ours ({found.precision}), plain loop (fp32)",
        f"{60 * found.timed / found.ours_s:.1f}, {60 * found.timed / found.plain_s:.1f}: "
        f"{found.plain_s / found.ours_s:.2f} times, {found.plain_cpu_s / found.ours_cpu_s:.2f} by CPU time",
    )
    table.add_row(
        f"two stages, {HEAD_TOKENS} tokens first",
        f"{found.one_stage_s / found.two_stage_s:.2f} times as fast as one; other winners: {found.winners_changed}",
    )
    console.print(table)


def write_json(path: Path, found: Found) -> None:
    """All results."""
    path.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
