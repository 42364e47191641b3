"""The parts of an evaluation on one screen: a question, an answer, a judgement, a model down to its training rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sedi.explain_parts import LINES, SHORT, at_text, panel, request_line
from sedi.explain_texts import cut
from sedi.output import dollars, percent

if TYPE_CHECKING:
    from rich.console import Console

    from consumers.explain.schema.evaluation import (
        AnsweredSet,
        AnswersJudgedStory,
        BenchmarkStory,
        JudgementSummary,
        ModelStory,
        PromptAnswerStory,
        QuestionStory,
        TrainedRows,
    )
    from consumers.explain.schema.explanation import Explanation
    from schemas.events import CallAnswered

_WRONG = 10  # questions of a benchmark that are listed


def show_evaluation(out: Console, found: Explanation) -> None:
    """Print the story of a part of an evaluation, if it is one."""
    if found.question is not None:
        panel(out, f"Question {found.question.id}", _question(found.question))
    if found.answer is not None:
        _answer(out, found.answer)
    if found.judgement is not None:
        _judgement(out, found.judgement)
    if found.model is not None:
        _model(out, found.model)


def _question(story: QuestionStory) -> Iterator[str]:
    event, benchmark = story.event, story.event.benchmark
    group = f", {event.group}" if event.group else ""
    form = "" if benchmark.form == "published" else f", form: {benchmark.form}"
    yield f"{event.question_id} of {benchmark.name}{group}, {benchmark.shots} shots{form}{at_text(story.at)}"
    yield f"measured with {event.model.key} ({event.engine}, {event.precision})"
    yield cut(event.question)
    for place, (choice, value) in enumerate(zip(event.choices, event.loglikelihoods, strict=False)):
        marks = ("→" if place == event.chosen else "") + ("✓" if place == event.gold else "")
        yield f"{marks or ' '} {value:.4f} {cut(choice, SHORT)}"
    if story.right is not None:
        per_character = "right" if story.right_per_character else "wrong"
        yield f"{'right' if story.right else 'wrong'} by the likeliest choice, {per_character} per character"


def _answer(out: Console, story: PromptAnswerStory) -> None:
    event, asked = story.event, story.event.asked
    system = f", system prompt: {cut(asked.system, SHORT)}" if asked.system else ""
    parts = [f"input: {cut(event.input)}"] if event.input.strip() else []
    conditions = f"{event.prompt_id} of {asked.prompts}, {asked.shots} shots, template {asked.template or 'unknown'}"
    panel(out, f"Answer {story.id}", [cut(event.instruction), *parts, f"{conditions}{system}{at_text(story.at)}"])
    reason = f": {event.reason}" if event.reason else ""
    cost = "" if event.cost_usd is None else f", {dollars(event.cost_usd)}"
    lines = [f"by {event.model.key}{cost}", f"outcome: {event.outcome}{reason}"]
    panel(out, "What was answered", [*lines, *([cut(event.text)] if event.text else [])])
    calls = [*map(request_line, story.requests), *_raws(event.answers)]
    panel(out, "Its calls", calls or ["none: it was read from a file"])
    panel(out, "Judgements", [*map(_judged, story.judgements)] or ["none"])


def _judgement(out: Console, story: AnswersJudgedStory) -> None:
    event = story.event
    head = f"{event.prompt_id} of {event.prompts} by {event.judge.name}{at_text(story.at)}"
    scale = f"scores from {event.scale.least:g} to {event.scale.most:g}"
    verdict = "no scores" if event.scores is None else scale
    panel(out, f"Judgement {story.id}", [head, f"{verdict}: {cut(event.reason)}"])
    lines = []
    for answer in story.answers:
        score = "–" if answer.score is None else f"{answer.score:g}"
        text = "not on the log" if answer.at is None else f"{answer.outcome}: {cut(answer.text or '')}"
        lines.append(f"{score} {answer.model}, {answer.id}, {text}{at_text(answer.at)}")
    panel(out, "The answers in the order shown", lines)
    panel(out, "Its calls", [*map(request_line, story.requests), *_raws(event.answers)] or ["none"])
    panel(out, "The same answers judged otherwise", [*map(_judged, story.others)] or ["never"])


def _model(out: Console, story: ModelStory) -> None:
    identity = f"{story.model.kind} {story.model.source}", f"SHA-256 {story.model.sha256 or 'not known'}"
    panel(out, f"Model {story.key}", identity)
    for benchmark in story.benchmarks:
        panel(out, f"{benchmark.benchmark.name}, {benchmark.benchmark.shots} shots", _benchmark(benchmark))
    if story.answers:
        counted = f"judgements: {story.judged:,} with scores, {story.unread:,} without"
        panel(out, "Answers", [*map(_set, story.answers), counted])
    lines = ["by whom it was trained is not known"] if story.trained is None else _trained(story.trained)
    panel(out, "Training", lines)


def _benchmark(story: BenchmarkStory) -> Iterator[str]:
    with_gold = [one for one in story.asked if one.gold is not None]
    if not with_gold:
        yield f"{story.questions:,} texts whose likelihood was measured"
        return
    of = len(with_gold)
    yield (
        f"{story.right:,} of {of:,} right ({percent(story.right / of)}), "
        f"{story.right_per_character:,} per character ({percent(story.right_per_character / of)})"
    )
    wrong = [one for one in with_gold if one.chosen != one.gold]
    for one in wrong[:_WRONG]:
        group = f" ({one.group})" if one.group else ""
        yield f"wrong: {one.question_id} {one.id[:8]}{group}, {one.chosen} for {one.gold}: {cut(one.question, SHORT)}"
    if len(wrong) > _WRONG:
        yield f"… and {len(wrong) - _WRONG:,} more that are wrong (--json has all)"


def _set(found: AnsweredSet) -> str:
    system = ", with a system prompt" if found.asked.system else ""
    outcomes = ", ".join(f"{number:,} {outcome}" for outcome, number in found.outcomes.items())
    return f"{found.asked.prompts}, {found.asked.shots} shots{system}: {outcomes}; the first is {found.ids[0]}"


def _trained(found: TrainedRows) -> Iterator[str]:
    offsets = "" if found.offsets is None else f", kept up to offsets {', '.join(map(str, found.offsets))}"
    yield f"trained by run {found.run}, {found.step:,} steps{offsets}"
    if not found.epochs:
        yield "which rows: not on this log; explain it on that run's"
        return
    if found.steps < found.step:
        yield f"{found.steps:,} of its {found.step:,} steps are on the log"
    for epoch in found.epochs:
        ends = "" if epoch.first is None else f", from {epoch.first} to {epoch.last}"
        yield f"epoch {epoch.epoch}: {epoch.rows:,} rows in {epoch.steps:,} steps{ends}"


def _judged(found: JudgementSummary) -> str:
    scores = "no scores" if found.scores is None else " to ".join(f"{score:g}" for score in found.scores)
    return f"{found.id}: {' and '.join(found.models)}: {scores}, by {found.judge}{at_text(found.at)}"


def _raws(answers: tuple[CallAnswered, ...]) -> Iterator[str]:
    for answer in answers[:LINES]:
        yield f"raw: {cut(answer.raw)}"
