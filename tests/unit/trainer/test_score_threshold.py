"""A threshold: rows wait for their score, pass in their order, and are dropped below it."""

from consumers.trainer.data.score_threshold import ScoreThreshold
from schemas.events import InstructionJudged, Judge
from streams.core.batches import KeptRow
from streams.core.judging import SCALE
from tests.unit.trainer.tiny import kept


def row(number: int, cluster: int = 0) -> KeptRow:
    return KeptRow(number, kept(number, cluster))


def judgement(of: KeptRow, score: float | None, model: str = "big") -> InstructionJudged:
    return InstructionJudged(
        kept_id=of.kept.id,
        generated_offset=of.kept.generated_offset,
        place=0,
        cluster=of.kept.cluster,
        judge=Judge(backend="openai", model=model, rubric="accurate", version=1),
        scale=SCALE,
        score=score,
        reason="so",
        answers=(),
        cost_usd=None,
    )


def test_a_row_waits_for_its_score_and_holds_back_the_later_ones_of_its_cluster_only() -> None:
    first, second, other = row(0), row(1), row(2, cluster=1)
    threshold = ScoreThreshold(4.0, None)
    threshold.apply(judgement(second, 5.0))
    threshold.apply(judgement(other, 4.0))
    assert threshold.admitted([first, second, other]) == [other]
    assert threshold.waiting == 2
    threshold.apply(judgement(first, 4.5))
    assert threshold.admitted([]) == [first, second]
    assert threshold.waiting == 0


def test_rows_below_it_or_without_a_score_are_passed_over() -> None:
    rows = [row(number) for number in range(4)]
    threshold = ScoreThreshold(4.0, None)
    for each, score in zip(rows, (3.5, 4.0, None, 5.0), strict=True):
        threshold.apply(judgement(each, score))
    assert threshold.admitted(rows) == [rows[1], rows[3]]


def test_what_a_pass_trains_does_not_depend_on_when_the_judge_was_done() -> None:
    rows = [row(number, number % 2) for number in range(8)]
    early, late = ScoreThreshold(3.0, None), ScoreThreshold(3.0, None)
    for each in rows:
        early.apply(judgement(each, each.offset % 5))
    at_once, in_turn = early.admitted(rows), late.admitted(rows)
    for each in rows:
        late.apply(judgement(each, each.offset % 5))
        in_turn += late.admitted([])
    for cluster in (0, 1):
        assert [each for each in in_turn if each.kept.cluster == cluster] == [
            each for each in at_once if each.kept.cluster == cluster
        ]


def test_the_first_judgement_of_the_judge_named_counts() -> None:
    only = row(0)
    threshold = ScoreThreshold(4.0, "accurate/1/small")
    threshold.apply(judgement(only, 5.0))
    assert threshold.admitted([only]) == []
    threshold.apply(judgement(only, 4.0, "small"))
    threshold.apply(judgement(only, 1.0, "small"))
    assert threshold.admitted([]) == [only]


def test_a_new_pass_begins_without_rows_and_with_the_judgements() -> None:
    first, second = row(0), row(1)
    threshold = ScoreThreshold(4.0, None)
    threshold.apply(judgement(first, 5.0))
    threshold.admitted([first, second])
    threshold.forget_rows()
    assert threshold.waiting == 0
    assert threshold.admitted([first]) == [first]
