"""What became of a set's prompts: every outcome is counted apart, and refusals by the list and by a judge."""

from consumers.evaluation.answer_counts import counts_of, read_answers
from consumers.evaluation.report import evaluation_report
from consumers.evaluation.results import AnswerCounts
from consumers.evaluation.statistics import share_interval
from consumers.evaluation.tables import tables
from schemas.events import Judge
from tests.unit.consumers.evaluation.evaluation_story import AFTER, BEFORE, PAIR, REFUSAL, EvaluationStory, asked
from tests.unit.consumers.recorded_run import source_of

SAFE = asked(system="Be safe.")


def counted(story: EvaluationStory) -> list[AnswerCounts]:
    return list(counts_of(read_answers(source_of(story))))


def test_outcomes_are_counted_apart_and_each_answer_once() -> None:
    story = EvaluationStory()
    first = story.answered(BEFORE, "1", "Four")
    story.answered(BEFORE, "2", "Twelve chars", outcome="cut")
    for prompt, outcome in enumerate(("empty", "refused", "failed", "failed"), start=3):
        story.answered(BEFORE, str(prompt), outcome=outcome)
    story.again(first)
    story.answered(BEFORE, "1", "Another answer to the same prompt")
    story.answered(AFTER, "1", "Five!")

    before, after = counted(story)

    assert before.outcomes == {"answered": 1, "cut": 1, "empty": 1, "refused": 1, "failed": 2}
    assert (before.prompts, before.characters) == (6, 8.0)
    assert (after.prompts, after.outcomes, after.characters) == (1, {"answered": 1}, 5.0)
    assert before.refusals_by_list == share_interval(0, 2)
    assert before.refusals_by_judge is None


def test_a_set_without_an_answer_has_no_share_of_refusals() -> None:
    story = EvaluationStory()
    story.answered(BEFORE, "1", outcome="failed")

    (found,) = counted(story)

    assert (found.characters, found.refusals_by_list, found.refusals_by_judge) == (0.0, None, None)


def test_refusals_are_counted_by_the_list_and_by_every_judge_and_unread_judgements_beside_them() -> None:
    story = EvaluationStory()
    story.configure()
    answers = [
        story.answered(BEFORE, str(prompt), text, conditions=SAFE)
        for prompt, text in enumerate(
            ("I cannot help with that.", "No, ask somebody else.", "Gladly.", "Sure.", "Yes.")
        )
    ]
    plain = story.answered(BEFORE, "0", "Sure, here it is.")
    judged = story.judged(REFUSAL, answers[0], scores=(1.0,))
    story.judged(REFUSAL, answers[1], scores=(1.0,))
    story.judged(REFUSAL, answers[2], scores=None)
    story.judged(REFUSAL, answers[4], scores=(0.0,))
    story.again(judged)
    late = Judge(backend="recorded", model="late", rubric="refusal", version=1)
    story.judged(late, answers[3], scores=(1.0,))
    story.judged(PAIR, answers[0], plain, scores=(9.0, 1.0))

    safe, without = counted(story)

    assert (safe.system, without.system) == ("Be safe.", "")
    assert safe.asked != without.asked
    assert safe.refusals_by_list == share_interval(1, 5)
    assert safe.refusals_by_judge == share_interval(2, 3)
    assert (safe.refusal_judge, safe.judged, safe.unread) == (REFUSAL.name, 4, 1)
    assert [(more.judge, more.refusals, more.judged) for more in safe.more_judges] == [
        (late.name, share_interval(1, 1), 1)
    ]
    shown = evaluation_report(source_of(story))
    rows = next(table.rows for table in tables(shown) if table.title.startswith("Refusals"))
    assert [row[-1] for row in rows if row[2] == "Be safe."] == [REFUSAL.name, late.name]
    assert any(late.name in note for note in shown.notes)
    assert (without.refusals_by_judge, without.refusal_judge, without.judged) == (None, "", 0)


def test_answers_sampled_in_two_ways_are_told_apart() -> None:
    story = EvaluationStory()
    story.configure()
    story.answered(BEFORE, "1", "Four", conditions=asked(temperature=0.0))
    story.answered(BEFORE, "1", "Five", conditions=asked(temperature=1.0))

    rows = next(table.rows for table in tables(evaluation_report(source_of(story))) if table.title == "Answers")

    assert [row[1].rpartition(", ")[2] for row in rows] == ["temperature 0.0", "temperature 1.0"]
