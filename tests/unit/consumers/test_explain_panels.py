"""The screen for people shows what is told, marked and cut, and nothing that steers the terminal."""

import msgspec
import pytest

from consumers.explain.story import explain
from schemas.events import InstructionsGenerated
from sedi.explain_panels import show_explanation
from sedi.explain_texts import sparkline
from sedi.rebuilt_prompts import with_prompts
from tests.unit.consumers.recorded_run import LETTER, ToldRun, row_id, source_of, whole_run


def shown(story: ToldRun, id: str, capsys: pytest.CaptureFixture[str]) -> str:
    show_explanation(with_prompts(explain(source_of(story), id)))
    return capsys.readouterr().out


def test_the_tokens_in_common_are_marked_in_both_texts(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(whole_run(), row_id(1, 0), capsys)

    assert "this: ⟦Name three long rivers that flow through the⟧ west ⟦of Germany⟧" in text
    assert "that: ⟦Name three long rivers that flow through the⟧ east ⟦of Germany⟧" in text
    assert "verdict: rejected, similar 0.9091" in text
    assert "(decided again: the same)" in text


def test_a_long_answer_is_cut_around_the_instruction(capsys: pytest.CaptureFixture[str]) -> None:
    story = whole_run()
    (answer,) = story.generations_written()[1].answers
    long = msgspec.structs.replace(answer, raw=f"{'before ' * 300}{LETTER}{' after' * 300}")
    story.change(InstructionsGenerated, 1, answers=(long,))

    (line,) = [line for line in shown(story, row_id(1, 2), capsys).splitlines() if f"⟦{LETTER}⟧" in line]

    assert len(line) < 450
    assert line.strip().startswith("…")
    assert line.endswith("…")


def test_control_characters_of_an_answer_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    story = whole_run()
    event = story.generations_written()[1]
    (answer,) = event.answers
    bad = "\x1b]0;owned\x07 bad \x9b2J"
    story.change(
        InstructionsGenerated,
        1,
        answers=(msgspec.structs.replace(answer, raw=answer.raw + bad),),
        instructions=tuple(msgspec.structs.replace(task, output=bad) for task in event.instructions),
    )

    text = shown(story, row_id(1, 2), capsys)

    assert "owned" in text
    assert not set(text) & set("\x1b\x07\x9b")


def test_a_seeds_scores_are_bars_of_at_most_a_line() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█ (0.00 to 1.00)"
    many = sparkline([step / 9_999 for step in range(10_000)])
    assert len(many.split()[0]) == 48
    assert many.endswith("█ (0.00 to 1.00)")
