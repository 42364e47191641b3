"""An explanation on one screen: panels in a terminal, indented lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from consumers.feedback_terms import VERDICTS
from sedi.explain_document_panels import show_document, show_segment
from sedi.explain_evaluation_panels import show_evaluation
from sedi.explain_parts import LINES, SHORT, Line, at_text, panel, request_line
from sedi.explain_texts import TEXT, around, cut, marked, sparkline
from sedi.output import clock, console, dollars, shown

if TYPE_CHECKING:
    from consumers.explain.schema.answered import RowAnswerStory
    from consumers.explain.schema.explanation import Explanation, RebuiltPrompt, RequestOutcome
    from consumers.explain.schema.generation import GenerationStory, SteeringStory
    from consumers.explain.schema.instruction import AnswerStory, Candidacy, InstructionStory, Judgement, TrainedStep
    from consumers.explain.schema.seed import SeedGeneration, SeedReplacement, SeedStory


def show_explanation(found: Explanation) -> None:
    """Print all stories of it."""
    out = console()
    if found.instruction is not None:
        _instruction(out, found.instruction, found.prompts, found.answer_prompts)
    if found.seed is not None:
        panel(out, f"Seed {found.seed.id}", _seed(found.seed))
    if found.document is not None:
        show_document(out, found.document)
    show_evaluation(out, found)
    if found.made is not None:
        _generation(out, found.made, found.prompts)


# -- an instruction ------------------------------------------------------------------------------------------------


def _instruction(
    out: Console, story: InstructionStory, prompts: Sequence[RebuiltPrompt], answer_prompts: Sequence[RebuiltPrompt]
) -> None:
    verdict, terminal = story.verdict, out.is_terminal
    where = "" if story.cluster is None else f" in cluster {story.cluster}"
    reason = "" if verdict.reason is None else f": {verdict.reason}"
    parts = (("input", story.input), ("output", story.output))
    texts = [f"{name}: {cut(text)}" for name, text in parts if text.strip()]
    panel(out, f"Instruction {story.id}, {verdict.outcome}{where}{reason}", [cut(story.instruction), *texts])
    panel(out, "Where it came from", [*_requested(story.generation), *map(_prompt, prompts)])
    if story.segment is not None:
        show_segment(out, story.segment, story.id)
    if story.answered is not None:
        panel(
            out, "Its answer, asked for once it was kept", [*_answered(story.answered), *map(_prompt, answer_prompts)]
        )
    for answer in story.answers:
        holds = "" if answer.holds == "both" else f" with the {answer.holds}"
        panel(out, f"Raw answer{holds}", [_answer(answer, terminal=terminal)])
    panel(out, "Verdict of the filter", _verdict(story, terminal=terminal))
    if story.judged:
        panel(out, "Judges", map(_judgement, story.judged))
    panel(out, "Training", [*_steps(story.training), *map(_candidacy, story.candidacies)])


def _answered(story: RowAnswerStory) -> list[Line]:
    requests = list(map(request_line, story.requests[:LINES]))
    if story.at is None:
        return ["none yet", *requests]
    used = "used" if story.reason is None else f"NOT used: {story.reason}"
    again = "the same" if story.agrees else "NOT the same"
    settings = ", ".join(f"{name} {shown(value)}" for name, value in story.parameters.items())
    how = f"style {story.style}, model {story.model} of {story.backend}, cost {dollars(story.cost_usd)}"
    return [
        f"the row is {used} (read again: {again}){at_text(story.at)}",
        *_released(story),
        f"{how}{f'; {settings}' if settings else ''}" if story.style else "nothing was asked: it had its output",
        *requests,
        *(f"raw answer: {cut(raw)}" for raw in story.raws),
    ]


def _released(story: RowAnswerStory) -> list[Line]:
    if story.released_at is None:
        return []
    return [f"blocks no similar ones from offset {story.released_from} of generated on{at_text(story.released_at)}"]


def _answer(answer: AnswerStory, *, terminal: bool) -> Text:
    if answer.span is not None:
        return around(answer.raw, answer.span, terminal=terminal)
    note = "" if answer.holds == "output" else " (the instruction is not found in it)"
    return Text(cut(answer.raw) + note)


def _verdict(story: InstructionStory, *, terminal: bool) -> list[Line]:
    verdict, nearest = story.verdict, story.nearest
    broken = [rule.name for rule in story.rules if not rule.passed]
    lines: list[Line] = [
        f"rules: {len(story.rules) - len(broken)} of {len(story.rules)} passed{_listed('; broken: ', broken)}"
    ]
    if verdict.outcome == "undecided":
        lines.append("verdict: none yet")
    else:
        again = "the same" if verdict.agrees else f"NOT the same but {verdict.recomputed}"
        again = "by `sedi replay`" if verdict.agrees is None else again  # it depends on the other candidates
        reason = "" if verdict.reason is None else f", {verdict.reason}"
        similar = "" if verdict.similarity is None else f" {verdict.similarity:.4f} to {verdict.nearest_id}"
        recomputed = f"threshold {verdict.threshold} (decided again: {again})"
        lines.append(f"verdict: {verdict.outcome}{reason}{similar}, {recomputed}{at_text(verdict.at)}")
    if nearest is None:
        lines.append("nearest: no text before it shares a word with it")
    else:
        kind = "kept row before it" if nearest.kind == "kept" else "seed"
        lines += [
            f"nearest {kind}: {nearest.id}, similarity {nearest.similarity:.4f} "
            f"({nearest.lcs} tokens of {nearest.tokens[0]} and {nearest.tokens[1]} in common)",
            Text("  this: ").append_text(marked(story.instruction, nearest.marks, terminal=terminal)),
            Text("  that: ").append_text(marked(nearest.instruction, nearest.its_marks, terminal=terminal)),
        ]
    fit = story.classifier
    if fit is not None:
        lines.append(f"classifier: fitted on {fit.texts:,} {fit.fitted_on}, in force from offset {fit.from_offset}")
    return lines


def _judgement(found: Judgement) -> str:
    score = "no score" if found.score is None else f"{found.score:g} of {found.least:g} to {found.most:g}"
    cost = "" if found.cost_usd is None else f", {dollars(found.cost_usd)}"
    return f"{found.judge}: {score}{cost}{at_text(found.at)}: {cut(found.reason)}"


def _steps(steps: Sequence[TrainedStep]) -> list[Line]:
    lines: list[Line] = []
    for step in steps[:LINES]:
        borrowed = f", borrowed from cluster {step.cluster}" if step.borrowed else ""
        chosen = ", the batch its window chose" if step.chosen else ""
        lines.append(
            f"epoch {step.epoch} window {step.window} step {step.step}: slot {step.slot}{borrowed}, "
            f"loss {shown(step.loss)}, gradient norm {shown(step.grad_norm)}{chosen}"
        )
    if len(steps) > LINES:
        lines.append(f"… and {len(steps) - LINES} more steps")
    return lines or ["in no logged batch"]


def _candidacy(found: Candidacy) -> str:
    verdict, similarity = found.verdict, ""
    if found.similarity is not None:
        near = "" if found.nearest_id is None else f", nearest {found.nearest_id}"
        similarity = f" (similarity {found.similarity:.4f}, at most {found.threshold}{near})"
    became = "" if found.replaced is None else f"; it took the place of seed {_victim(found.replaced)}"
    settings = {"over_limit": found.max_replacements, "low_score": found.min_score, "unjudged": found.min_score}
    limit = f", which is {settings[verdict]}" if settings.get(verdict) is not None else ""
    return f"as a seed: {verdict}: {VERDICTS[verdict]}{limit}{similarity}{became}"


# -- a seed --------------------------------------------------------------------------------------------------------


def _seed(story: SeedStory) -> list[Line]:
    since, until = "the run's start", "now"
    if story.since is not None:
        since = f"{_because(story.since)}, in place of {_victim(story.since)}"
    if story.until is not None:
        score = _score(story.until.victim_generated, story.until.victim_kept)
        until = f"{_because(story.until)}, replaced by {story.until.new_id} when its score was {score}"
    scores = [generation.score for generation in story.generations if generation.score is not None]
    last = [f"{g.generation_id[:8]} ({_yield(g)})" for g in story.generations[-LINES:]]
    more = "… " if len(story.generations) > LINES else ""
    return [
        cut(story.instruction),
        f"in the pool since {since}",
        f"until {until}",
        f"shown in {len(story.generations):,} generations: score {_score(story.generated, story.kept)}",
        f"score over time: {sparkline(scores)}" if scores else "no score yet",
        f"generations (kept/generated): {more}{', '.join(last) or 'none'}",
    ]


def _yield(generation: SeedGeneration) -> str:
    if generation.generated is None or not generation.uncounted:
        return f"{shown(generation.kept)}/{shown(generation.generated)}"
    return f"{shown(generation.kept)}/{generation.generated - generation.uncounted}, {generation.uncounted} not counted"


def _because(change: SeedReplacement) -> str:
    return f"{clock(change.at.timestamp_ms)} (epoch {change.epoch} window {change.window} step {change.step})"


def _victim(change: SeedReplacement) -> str:
    return f"{change.victim_id} with score {_score(change.victim_generated, change.victim_kept)}"


def _score(generated: int, kept: int) -> str:
    return f"{kept}/{generated}" + (f" = {kept / generated:.3f}" if generated else "")


# -- a generation --------------------------------------------------------------------------------------------------


def _generation(out: Console, found: RequestOutcome, prompts: Sequence[RebuiltPrompt]) -> None:
    title = f"Generation {found.generation_id}" + ("" if found.step is None else f", request {found.step} of it")
    if found.generation is None:
        where = "of a preview, on `calls` alone:" if found.preview else "not (yet) on the log; its calls:"
        panel(out, title, [where, *map(request_line, found.requests)])
        return
    panel(out, title, [*_requested(found.generation), *map(_prompt, prompts[:1])])
    if found.segment is not None:
        show_segment(out, found.segment)
    lines = []
    for task in found.instructions:
        trained = _listed(", steps ", [f"{epoch}/{step}" for epoch, step in task.steps[:LINES]])
        cluster = "" if task.cluster is None else f" in cluster {task.cluster}"
        reason = "" if task.reason is None else f": {task.reason}"
        near = "" if task.similarity is None else f" {task.similarity:.4f} to {(task.nearest_id or '?')[:8]}"
        seed = ", became a seed" if task.became_seed else ""
        seed += "" if task.unused is None else f", not used: {task.unused}"
        text = cut(task.instruction, SHORT)
        lines.append(f"{task.id[:8]} {task.outcome}{cluster}{reason}{near}{trained}{seed}: {text}")
    panel(out, "Its instructions", lines or ["none"])


def _requested(story: GenerationStory) -> list[Line]:
    lines: list[Line] = []
    for seed in story.seeds:
        since = "the start" if seed.since is None else f"command {seed.since.offset}"
        lines.append(f"seed {seed.id} (since {since}): {cut(seed.instruction or 'unknown', SHORT)}")
    if not story.sampled_as_told:
        lines.append("NOTE: sampling the pool again gives other seeds")
    if story.steering is not None:
        lines += _steered(story.steering)
    settings = ", ".join(f"{name} {shown(value)}" for name, value in story.parameters.items())
    unparsed = sum(story.unparsed.values())
    return [
        *lines,
        f"lane {story.lane} number {story.number}: {story.instructions} instructions, "
        f"{unparsed} unparsed parts{at_text(story.at)}",
        f"style {story.style}, model {story.model} of {story.backend}, cost {dollars(story.cost_usd)}"
        f"{f'; {settings}' if settings else ''}",
        *map(request_line, story.requests[:LINES]),
    ]


def _steered(story: SteeringStory) -> list[Line]:
    own = "the style's own"
    brought = "; ".join(f"{seed.id}: {seed.kept} kept of {seed.tried} in {seed.shown}" for seed in story.brought)
    lines: list[Line] = [
        f"seeds by {story.seed_choice} as of generated/{story.as_of}: {brought}; all seeds: {story.pool_kept} kept of "
        f"{story.pool_tried}",
        f"yield level {story.level}: temperature {shown(story.temperature or own)}, list length "
        f"{shown(story.list_length or own)}",
    ]
    return lines + [f"not to repeat: {cut(hint.instruction or f'unknown {hint.id}', SHORT)}" for hint in story.hints]


def _prompt(prompt: RebuiltPrompt) -> str:
    if prompt.messages is None:
        return f"prompt: cannot be rebuilt: {prompt.reason}"
    text = " ".join(message.content for message in prompt.messages)
    return f"prompt ({prompt.by}; {len(text):,} characters): {cut(text, TEXT // 2)}"


def _listed(before: str, names: Sequence[str]) -> str:
    return f"{before}{', '.join(names)}" if names else ""
