"""A sample of the verdicts, decided by the `rouge_score` package: no index, no shortcut, none of our arithmetic.

The audit uses the code of the filter, so a fault in the similarity would be in both. Here each sampled instruction is
scored against every instruction kept before it (and the seeds, where the policy compares with them) by the package that
the papers used (`rouge_score`, `rougeL`, no stemmer), pair by pair; the highest score decides, of equal ones the
earliest.

Only verdicts that depend on similarity are sampled: kept, or rejected as similar. It takes about 0.1 ms a pair.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import msgspec
from rouge_score.rouge_scorer import RougeScorer

from consumers.folds.deduplicate import Deduplicator
from consumers.replay.findings import AuditState, Divergence
from consumers.replay.result import Audit, ReferenceCheck, with_divergences
from infra.log.record import Record
from infra.log.run import configuration
from infra.log.source import Reading, Source
from schemas import ids
from schemas.events import ClassifierFitted, InstructionsGenerated, InstructionsRejected, Rejection
from schemas.policy import Policy
from streams.core.releases import recorded_releases, releases
from streams.core.similarity import tokenize


@dataclass(frozen=True)
class _Sampled:
    """A recorded verdict on an instruction.

    earlier   texts before it that it was compared with
    similar   the rejection; None when it was kept
    """

    record: Record
    verdict: InstructionsRejected
    place: int
    text: str
    earlier: int
    similar: Rejection | None

    @property
    def id(self) -> str:
        return ids.instruction_id(self.verdict.generation_id, self.place)


def with_reference(
    found: Audit, source: Source, size: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> Audit:
    """An audit with `size` of the verdicts in its range checked by rouge_score, or all where there are fewer.

    The sample is uniform and the same each time. A difference is a divergence of the audit. `progress` is called with
    (verdicts done, verdicts in all).
    """
    started = time.monotonic()
    configured, classifiers = configuration(source)
    policy = configured.policy
    earlier = [(seed.id, seed.instruction) for seed in configured.seeds] if policy.compare_with_seeds else []
    seeds = len(earlier)
    released = _released(source, policy)
    sampled, of = _sample(source, found, size, earlier)
    own = SimpleNamespace(tokenize=tokenize.tokenizer(policy.tokenizer))  # for policies that do not use rouge_score's
    scorer = RougeScorer(["rougeL"], tokenizer=None if policy.tokenizer == "rouge" else own)
    differences: list[Divergence] = []
    pairs = 0
    for number, one in enumerate(sampled, 1):
        before = earlier[: one.earlier]
        if released:
            offset = one.verdict.generated_offset
            before = before[:seeds] + [each for each in before[seeds:] if released.get(each[0], offset + 1) > offset]
        pairs += len(before)
        similarity, nearest = _nearest(scorer, one.text, before)
        rejected = similarity > policy.threshold
        decided = (similarity, nearest) if rejected else None
        recorded = None if one.similar is None else (one.similar.similarity, one.similar.nearest_id)
        if decided != recorded:
            differences.append(_divergence(one, similarity, nearest, rejected, classifiers))
        progress(number, len(sampled))
    reference = ReferenceCheck(
        sampled=len(sampled),
        of=of,
        compared_with=len(earlier) - seeds,
        pairs=pairs,
        differences=len(differences),
        seconds=time.monotonic() - started,
    )
    checked = with_divergences(found, differences, Counter(difference.kind for difference in differences))
    return msgspec.structs.replace(checked, reference=reference)


def _released(source: Source, policy: Policy) -> dict[str, int]:
    """From which offset on a released row is not compared with, by its id."""
    if not releases(policy):
        return {}
    with source.open(["run"]) as reading:
        return recorded_releases(record.event for record in reading.rest()).of_rows(policy)


def _divergence(
    one: _Sampled, similarity: float, nearest: str | None, rejected: bool, classifiers: Sequence[ClassifierFitted]
) -> Divergence:
    """A verdict that rouge_score decides differently, with the recorded state."""
    verdict, offset = one.verdict, one.verdict.generated_offset
    recorded = "kept" if one.similar is None else f"{one.similar.nearest_id} with {one.similar.similarity!r}"
    return Divergence(
        kind="similarity" if rejected and one.similar is not None else "flipped",
        topic="rejected",
        partition=0,
        offset=one.record.offset,
        generated_offset=offset,
        id=one.id,
        what=f"rouge_score finds {nearest} nearest to instruction {one.id}, place {one.place} of offset {offset}, with "
        f"{similarity!r}, so it is {'similar' if rejected else 'to be kept'}; recorded is {recorded}.",
        recorded="kept" if one.similar is None else one.similar,
        decided={"similarity": similarity, "nearest_id": nearest} if rejected else "kept",
        state=AuditState(
            applied=offset - 1,
            kept_total=verdict.kept_total - verdict.kept,
            generated_total=verdict.generated_total - verdict.generated,
            classifier_offset=max((c.from_offset for c in classifiers if c.from_offset <= offset), default=0),
            commands_offset=None,
            seeds=None,
        ),
    )


def _nearest(scorer: RougeScorer, text: str, earlier: Sequence[tuple[str, str]]) -> tuple[float, str | None]:
    """The highest F of a text with any of these, and the id of the first with it."""
    highest, nearest = 0.0, None
    for id, other in earlier:
        fmeasure: float = scorer.score(other, text)["rougeL"].fmeasure
        if fmeasure > highest:
            highest, nearest = fmeasure, id
    return highest, nearest


def _sample(source: Source, found: Audit, size: int, earlier: list[tuple[str, str]]) -> tuple[list[_Sampled], int]:
    """`size` verdicts in log order, and how many they are drawn from; every kept instruction is added to `earlier`."""
    rng = random.Random(f"{found.run}/reference")
    sampled: list[_Sampled] = []
    count = 0
    with source.open(["generated", "rejected"]) as reading:
        for record, verdict, event in _decided(reading):
            if verdict.generated_offset > found.through_offset:
                break
            rejections = {rejection.place: rejection for rejection in verdict.rejections}
            for place, task in enumerate(event.instructions):
                rejection = rejections.get(place)
                if rejection is not None and rejection.reason != "similar":
                    continue
                if verdict.generated_offset >= found.from_offset:
                    count += 1
                    slot = len(sampled) if len(sampled) < size else rng.randrange(count)
                    if slot < size:
                        one = _Sampled(record, verdict, place, task.instruction, len(earlier), rejection)
                        sampled[slot : slot + 1] = [one]
                if rejection is None:
                    earlier.append((ids.instruction_id(verdict.generation_id, place), task.instruction))
    return sorted(sampled, key=lambda one: (one.verdict.generated_offset, one.place)), count


def _decided(reading: Reading) -> Iterator[tuple[Record, InstructionsRejected, InstructionsGenerated]]:
    """Each verdict with its generation, in order; without repeats and verdicts on unreadable records."""
    deduplicator = Deduplicator()
    generation = reading.next("generated", 0)
    while (record := reading.next("rejected", 0)) is not None:
        verdict = record.event
        if not isinstance(verdict, InstructionsRejected) or not deduplicator.rejected(verdict):
            continue
        offset = verdict.generated_offset
        while generation is not None and generation.offset < offset:
            generation = reading.next("generated", 0)
        event = generation.event if generation is not None and generation.offset == offset else None
        if isinstance(event, InstructionsGenerated) and verdict.generated == len(event.instructions):
            yield record, verdict, event
