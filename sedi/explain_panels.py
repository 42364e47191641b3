"""An explanation for people, on one screen: panels in a terminal, indented lines elsewhere.

What is marked in a text is underlined in a terminal and stands in ⟦ ⟧ elsewhere. Long texts are cut, with … where.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.panel import Panel
from rich.text import Text

from consumers.feedback_terms import VERDICTS
from infra.visible import visible
from sedi.output import clock, console, dollars, shown

if TYPE_CHECKING:
    from consumers.explain.schema import (
        Candidacy,
        Explanation,
        GenerationStory,
        InstructionStory,
        Judgement,
        RebuiltPrompt,
        RecordPlace,
        RequestOutcome,
        RequestStory,
        SeedGeneration,
        SeedReplacement,
        SeedStory,
        Span,
        TrainedStep,
    )

_TEXT = 300  # characters of a text that are shown
_AROUND = 160  # of a raw answer on either side of the instruction
_SHORT = 70
_LINES = 6  # of a list
_SPARK = "▁▂▃▄▅▆▇█"
_POINTS = 48

Line = str | Text


def show_explanation(found: Explanation) -> None:
    """All stories of it."""
    out = console()
    if found.instruction is not None:
        _instruction(out, found.instruction, found.prompts)
    if found.seed is not None:
        _panel(out, f"Seed {found.seed.id}", _seed(found.seed))
    if found.made is not None:
        _made(out, found.made, found.prompts)


def _panel(out: Console, title: str, lines: Iterable[Line]) -> None:
    texts = [line if isinstance(line, Text) else Text(visible(line)) for line in lines]
    if out.is_terminal:
        out.print(Panel(Group(*texts), title=Text(visible(title)), title_align="left"))
        return
    out.print(f"{title}:", soft_wrap=True)
    for text in texts:
        out.print(Text("  ").append_text(text), soft_wrap=True)


# -- an instruction ------------------------------------------------------------------------------------------------


def _instruction(out: Console, told: InstructionStory, prompts: Sequence[RebuiltPrompt]) -> None:
    verdict = told.verdict
    where = "" if told.cluster is None else f" in cluster {told.cluster}"
    reason = "" if verdict.reason is None else f": {verdict.reason}"
    texts = [f"{name}: {_cut(text)}" for name, text in (("input", told.input), ("output", told.output)) if text.strip()]
    _panel(out, f"Instruction {told.id}, {verdict.outcome}{where}{reason}", [_cut(told.instruction), *texts])
    _panel(out, "Where it came from", [*_asked(told.generation), *(_prompt(prompt) for prompt in prompts)])
    for answer in told.answers:
        holds = "" if answer.holds == "both" else f" with the {answer.holds}"
        _panel(out, f"Raw answer{holds}", [_around(out, answer.raw, answer.span, answer.holds)])
    _panel(out, "What the filter decided", _filter(out, told))
    if told.judged:
        _panel(out, "What judges made of it", map(_judged, told.judged))
    _panel(out, "What training made of it", [*_steps(told.training), *map(_candidacy, told.candidacies)])


def _filter(out: Console, told: InstructionStory) -> list[Line]:
    verdict, nearest = told.verdict, told.nearest
    broken = [rule.name for rule in told.rules if not rule.passed]
    lines: list[Line] = [
        f"rules: {len(told.rules) - len(broken)} of {len(told.rules)} passed{_listed('; broken: ', broken)}"
    ]
    if verdict.outcome == "undecided":
        lines.append("verdict: none yet")
    else:
        again = "the same" if verdict.agrees else f"NOT the same but {verdict.recomputed}"
        reason = "" if verdict.reason is None else f", {verdict.reason}"
        similar = "" if verdict.similarity is None else f" {verdict.similarity:.4f} to {verdict.nearest_id}"
        told_again = f"threshold {verdict.threshold} (decided again: {again})"
        lines.append(f"verdict: {verdict.outcome}{reason}{similar}, {told_again}{_at(verdict.at)}")
    if nearest is None:
        lines.append("nearest: nothing before it has a word in common with it")
    else:
        kind = "kept row before it" if nearest.kind == "kept" else "seed"
        lines += [
            f"nearest {kind}: {nearest.id}, similarity {nearest.similarity:.4f} "
            f"({nearest.lcs} tokens of {nearest.tokens[0]} and {nearest.tokens[1]} in common)",
            Text("  this: ").append_text(_marked(out, told.instruction, nearest.marks)),
            Text("  that: ").append_text(_marked(out, nearest.instruction, nearest.its_marks)),
        ]
    if told.classifier is not None:
        by = told.classifier
        lines.append(f"classifier: fitted on {by.texts:,} {by.fitted_on}, in force from offset {by.from_offset}")
    return lines


def _judged(told: Judgement) -> str:
    score = "no score" if told.score is None else f"{told.score:g} of {told.least:g} to {told.most:g}"
    cost = "" if told.cost_usd is None else f", {dollars(told.cost_usd)}"
    return f"{told.judge}: {score}{cost}{_at(told.at)}: {_cut(told.reason)}"


def _steps(steps: Sequence[TrainedStep]) -> list[Line]:
    lines: list[Line] = []
    for step in steps[:_LINES]:
        borrowed = f", borrowed from cluster {step.cluster}" if step.borrowed else ""
        chosen = ", the batch that its window chose" if step.chosen else ""
        lines.append(
            f"epoch {step.epoch} window {step.window} step {step.step}: slot {step.slot}{borrowed}, "
            f"loss {shown(step.loss)}, gradient norm {shown(step.grad_norm)}{chosen}"
        )
    if len(steps) > _LINES:
        lines.append(f"… and {len(steps) - _LINES} more steps")
    return lines or ["in no logged batch"]


def _candidacy(told: Candidacy) -> str:
    near = "" if told.nearest_id is None else f", nearest {told.nearest_id}"
    similarity = (
        "" if told.similarity is None else f" (similarity {told.similarity:.4f}, at most {told.threshold}{near})"
    )
    became = "" if told.replaced is None else f"; it took the place of seed {_victim(told.replaced)}"
    setting = {"over_limit": told.max_replacements, "low_score": told.min_score, "unjudged": told.min_score}
    asked = f", which is {setting[told.verdict]}" if setting.get(told.verdict) is not None else ""
    return f"as a seed: {told.verdict}: {VERDICTS[told.verdict]}{asked}{similarity}{became}"


# -- a seed --------------------------------------------------------------------------------------------------------


def _seed(told: SeedStory) -> list[Line]:
    since = "the run's start" if told.since is None else f"{_because(told.since)}, in place of {_victim(told.since)}"
    until = "now" if told.until is None else f"{_because(told.until)}, replaced by {told.until.new_id}"
    if told.until is not None:
        until += f" when its score was {_score(told.until.victim_generated, told.until.victim_kept)}"
    scores = [generation.score for generation in told.generations if generation.score is not None]
    last = [f"{g.generation_id[:8]} ({_yield(g)})" for g in told.generations[-_LINES:]]
    more = "… " if len(told.generations) > _LINES else ""
    return [
        _cut(told.instruction),
        f"in the pool since {since}",
        f"until {until}",
        f"shown in {len(told.generations):,} generations: score {_score(told.generated, told.kept)}",
        f"score over time: {sparkline(scores)}" if scores else "no score yet",
        f"generations (kept/generated): {more}{', '.join(last) or 'none'}",
    ]


def _yield(generation: SeedGeneration) -> str:
    if generation.generated is None or not generation.uncounted:
        return f"{shown(generation.kept)}/{shown(generation.generated)}"
    return f"{shown(generation.kept)}/{generation.generated - generation.uncounted}, {generation.uncounted} not counted"


def sparkline(scores: Sequence[float]) -> str:
    """Scores from 0 to 1 as bars, with the first and the last."""
    return f"{bars(scores)} ({scores[0]:.2f} to {scores[-1]:.2f})"


def bars(heights: Sequence[float]) -> str:
    """Heights from 0 to 1 as bars, at most so many that they fit: each the last of an even share of them."""
    count = min(len(heights), _POINTS)
    points = [heights[(point + 1) * len(heights) // count - 1] for point in range(count)]
    return "".join(_SPARK[min(int(point * len(_SPARK)), len(_SPARK) - 1)] for point in points)


def _because(change: SeedReplacement) -> str:
    return f"{clock(change.at.timestamp_ms)} (epoch {change.epoch} window {change.window} step {change.step})"


def _victim(change: SeedReplacement) -> str:
    return f"{change.victim_id} with score {_score(change.victim_generated, change.victim_kept)}"


def _score(generated: int, kept: int) -> str:
    return f"{kept}/{generated}" + (f" = {kept / generated:.3f}" if generated else "")


# -- a generation --------------------------------------------------------------------------------------------------


def _made(out: Console, told: RequestOutcome, prompts: Sequence[RebuiltPrompt]) -> None:
    title = f"Generation {told.generation_id}" + ("" if told.step is None else f", request {told.step} of it")
    if told.generation is None:
        _panel(out, title, ["not (yet) on the log; what was called for it:", *map(_request, told.requests)])
        return
    _panel(out, title, [*_asked(told.generation), *(_prompt(prompt) for prompt in prompts[:1])])
    lines = []
    for brief in told.instructions:
        trained = _listed(", steps ", [f"{epoch}/{step}" for epoch, step in brief.steps[:_LINES]])
        cluster = "" if brief.cluster is None else f" in cluster {brief.cluster}"
        reason = "" if brief.reason is None else f": {brief.reason}"
        near = "" if brief.similarity is None else f" {brief.similarity:.4f} to {(brief.nearest_id or '?')[:8]}"
        seed = ", became a seed" if brief.became_seed else ""
        lines.append(
            f"{brief.id[:8]} {brief.outcome}{cluster}{reason}{near}{trained}{seed}: {_cut(brief.instruction, _SHORT)}"
        )
    _panel(out, "Its instructions", lines or ["none"])


def _asked(told: GenerationStory) -> list[Line]:
    lines: list[Line] = []
    for seed in told.seeds:
        since = "the start" if seed.since is None else f"command {seed.since.offset}"
        lines.append(f"seed {seed.id} (since {since}): {_cut(seed.instruction or 'unknown', _SHORT)}")
    if not told.sampled_as_told:
        lines.append("NOTE: sampling the pool again gives other seeds")
    settings = ", ".join(f"{name} {shown(value)}" for name, value in told.parameters.items())
    unparsed = sum(told.unparsed.values())
    return [
        *lines,
        f"lane {told.lane} number {told.number}: {told.instructions} instructions, "
        f"{unparsed} unparsed parts{_at(told.at)}",
        f"style {told.style}, model {told.model} of {told.backend}, cost {dollars(told.cost_usd)}"
        f"{f'; {settings}' if settings else ''}",
        *map(_request, told.requests[:_LINES]),
    ]


def _request(request: RequestStory) -> str:
    told = []
    for attempt in request.attempts:
        usage = attempt.usage
        tokens = "" if usage is None else f", {usage.prompt_tokens}+{usage.completion_tokens} tokens"
        cost = "" if attempt.cost_usd is None else f", {dollars(attempt.cost_usd)}"
        cost += ", perhaps paid for" if attempt.perhaps_paid else ""
        how = {
            "answered": f"answered in {shown(attempt.latency_s)} s{tokens}{cost}",
            "failed": f"failed: {_cut(attempt.error or '', _SHORT)}{tokens}{cost}",
            "none": "no outcome",
        }[attempt.outcome]
        told.append(f"attempt {attempt.attempt} {how}")
    return f"request {request.request_id}: {'; '.join(told)}"


def _prompt(prompt: RebuiltPrompt) -> str:
    if prompt.messages is None:
        return f"prompt: cannot be rebuilt: {prompt.reason}"
    text = " ".join(message.content for message in prompt.messages)
    return f"prompt ({prompt.by}; {len(text):,} characters): {_cut(text, _TEXT // 2)}"


# -- texts ---------------------------------------------------------------------------------------------------------


def _cut(text: str, most: int = _TEXT) -> str:
    line = visible(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _around(out: Console, raw: str, span: Span | None, holds: str) -> Text:
    """The answer around the span, which is marked."""
    if span is None:
        note = "" if holds == "output" else " (the instruction is not found in it as it is)"
        return Text(_cut(raw) + note)
    start, end = max(0, span[0] - _AROUND), min(len(raw), span[1] + _AROUND)
    text = Text("…" if start else "")
    text.append_text(_marked(out, raw[start:end], [(span[0] - start, span[1] - start)]))
    return text.append("…" if end < len(raw) else "")


def _marked(out: Console, text: str, spans: Sequence[Span] | None) -> Text:
    """The text with these spans marked; those with nothing but white space between them as one."""
    made, at = Text(), 0
    for start, end in _joined(text, spans or ()):
        marked = _in_line(text[start:end])
        made.append(_in_line(text[at:start]))
        made.append(marked if out.is_terminal else f"⟦{marked}⟧", style="bold underline")
        at = end
    return made.append(_in_line(text[at:]))


def _in_line(text: str) -> str:
    """The text in one line, without what would steer a terminal."""
    return visible(text.replace("\t", " ").replace("\n", "⏎"))


def _joined(text: str, spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _listed(before: str, names: Sequence[str]) -> str:
    return f"{before}{', '.join(names)}" if names else ""


def _at(at: RecordPlace | None) -> str:
    return "" if at is None else f" [{at.topic}/{at.partition}@{at.offset}, {clock(at.timestamp_ms)}]"
