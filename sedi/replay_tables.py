"""The tables of `sedi replay`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sedi.output import clock, console, dollars, percent, table

if TYPE_CHECKING:
    from consumers.evaluation.results import EvaluationReport
    from consumers.replay import Audit
    from consumers.replay.findings import Divergence
    from consumers.replay.point_in_time import RunStateAt
    from consumers.replay.result import ReferenceCheck
    from consumers.replay.what_if import WhatIf, WhatIfOutcome

_SEEDS_SHOWN = 10
_TEXT = 60


def show_audit(found: Audit) -> None:
    """Print an audit."""
    out = console()
    checked = ", ".join(f"{number:,} {name}" for name, number in found.checked.items())
    rate = f"{found.records / found.seconds:,.0f} records/s" if found.seconds else "–"
    left = len(found.not_in_dead_letters)
    lines = [
        ("decided again", f"offsets {found.from_offset:,} to {found.through_offset:,} of generated"),
        ("compared", checked),
        ("undecided", f"{found.undecided:,} generations with {found.pending:,} kept rows"),
        *([] if isinstance(found.unanswered, msgspec.UnsetType) else [("without an answer yet", found.unanswered)]),
        ("repeats", _counted(found.repeats)),
        ("unreadable", _counted(found.unreadable) + (f"; {left:,} not among the dead letters" if left else "")),
        ("read", f"{found.records:,} records in {found.seconds:.1f} s, {rate}"),
        *([] if found.reference is None else [("rouge_score", _reference(found.reference))]),
        ("divergences", f"{found.divergences:,} ({_counted(found.by_kind)})" if found.divergences else "none"),
    ]
    out.print(table(f"Audit of run {found.run}", ("", ""), lines))
    out.print(table("Digests", ("topic", "SHA-256"), found.digests.items()))
    if not isinstance(found.evaluation, msgspec.UnsetType):
        _show_evaluation(found.evaluation)
    if found.repeated:
        rows = [(repeat.topic, repeat.partition, repeat.offset, repeat.id) for repeat in found.repeated]
        out.print(table("The first repeats", ("topic", "#partition", "#offset", "id"), rows))
    if len(found.found) > 1:
        faults = [(d.kind, f"{d.topic}/{d.partition}@{d.offset}", d.generated_offset, d.what) for d in found.found]
        out.print(table("The first divergences", ("kind", "place", "#generated", "difference"), faults))
    if found.first is not None:
        _show_first(found.first)


def _show_evaluation(found: EvaluationReport) -> None:
    out = console()
    scores = [(one.model, one.benchmark, one.questions, percent(one.accuracy.value)) for one in found.benchmarks]
    if scores:
        columns = ("model", "benchmark", "#questions", "#accuracy")
        out.print(table("Benchmarks, computed again from log-likelihoods", columns, scores))
    pairs = [
        (one.first, one.second, one.set, one.judge, one.scored, one.win, one.tie, one.lose) for one in found.comparisons
    ]
    if pairs:
        sides = ("model", "against", "set", "judge", "#scored", "#win", "#tie", "#lose")
        out.print(table("Comparisons, computed again from raw answers", sides, pairs))


def _reference(found: ReferenceCheck) -> str:
    agree = "all agree" if not found.differences else f"{found.differences:,} differ"
    return (
        f"{found.sampled:,} of {found.of:,} verdicts scored against all rows kept before them: {agree} "
        f"({found.pairs:,} pairs in {found.seconds:.1f} s)"
    )


def _show_first(first: Divergence) -> None:
    out = console()
    lines = [
        ("kind", first.kind),
        ("place", f"{first.topic}/{first.partition}@{first.offset}"),
        ("in total order", f"{first.generated_offset} of generated"),
        ("id", first.id),
        ("difference", first.what),
        ("recorded", _as_text(first.recorded)),
        ("decided", _as_text(first.decided)),
        *((f"state: {name.replace('_', ' ')}", value) for name, value in msgspec.structs.asdict(first.state).items()),
    ]
    out.print(table("The first divergence", ("", ""), lines))


def show_state(found: RunStateAt) -> None:
    """Print the state of a run at a point."""
    out = console()
    spent = found.spent
    lines = [
        ("after offset", f"{found.offset:,} of generated, written {clock(found.timestamp_ms)}"),
        ("generated", found.generated),
        ("kept", found.kept),
        ("kept by cluster", ", ".join(f"{size:,}" for size in found.clusters)),
        ("classifier", f"in force from offset {found.classifier_offset:,}"),
        ("seed commands", f"up to offset {found.commands_offset}"),
        ("LLM calls", f"{spent.started:,} started, {spent.answered:,} answered, {spent.failed:,} failed"),
        ("tokens", f"{spent.prompt_tokens:,} prompt, {spent.completion_tokens:,} completion"),
        ("cost", dollars(spent.usd, spent.known_usd)),
        ("divergences until then", found.audit.divergences),
    ]
    out.print(table(f"Run {found.run} as it was", ("", ""), lines))
    ranked = sorted(found.seeds, key=lambda seed: (seed.score is None, seed.score or 0.0))
    rows = [(s.id, s.score, s.kept, s.generated, s.since_offset, s.instruction[:_TEXT]) for s in ranked[:_SEEDS_SHOWN]]
    columns = ("seed", "#score", "#kept", "#generated", "#since command", "instruction")
    out.print(table(f"The {len(rows)} lowest of {len(found.seeds):,} seeds", columns, rows))
    if found.audit.first is not None:
        _show_first(found.audit.first)


def show_what_if(found: WhatIf) -> None:
    """Print both sides of a what-if."""
    out = console()
    changed = "; ".join(f"{name}: {old} → {new}" for name, (old, new) in found.changed.items()) or "nothing changed"
    sides = found.real, found.what_if
    lines: list[tuple[object, ...]] = [
        ("generations", *(side.generations for side in sides)),
        ("generated", *(side.generated for side in sides)),
        ("kept", *(side.kept for side in sides)),
        ("yield", *(percent(side.kept_share) for side in sides)),
        ("calls", *(side.calls for side in sides)),
        ("calls per 1,000 kept", *(side.calls_per_1000_kept for side in sides)),
        ("tokens", *(side.tokens for side in sides)),
        ("cost per 1,000 kept", *(dollars(side.usd_per_1000_kept) for side in sides)),
        ("balance of clusters", *(side.balance for side in sides)),
        ("seeds replaced", *(_replaced(side) for side in sides)),
    ]
    unused = {**found.real.unused, **found.what_if.unused}
    lines += [(f"kept, not used: {name}", *(side.unused.get(name, 0) for side in sides)) for name in unused]
    reasons = {**found.real.rejected, **found.what_if.rejected}
    lines += [(f"rejected: {name}", *(side.rejected.get(name, 0) for side in sides)) for name in reasons]
    out.print(table(f"Run {found.run}: {changed}", ("", "#real", "#what if"), lines))
    if "answer" in found.changed:
        out.print(_saved(found))
    out.print(
        f"Of the kept, {found.in_both:,} are in both, {found.only_real:,} only in the real run and "
        f"{found.only_what_if:,} only here. The answers to other seeds are unknown to a replay."
    )


def _saved(found: WhatIf) -> str:
    """What answering only kept instructions saves."""
    real, other = found.real, found.what_if
    share = f" ({percent((real.calls - other.calls) / real.calls)})" if real.calls else ""
    tokens = "" if real.tokens is None or other.tokens is None else f", {real.tokens - other.tokens:,} tokens"
    cost = "" if real.usd is None or other.usd is None else f", {dollars(real.usd - other.usd)}"
    return f"Answers to instructions that are not kept: {real.calls - other.calls:,} calls{share}{tokens}{cost} saved."


def _replaced(side: WhatIfOutcome) -> str:
    return f"{side.replacements:,} in {side.windows:,} windows"


def _counted(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items()) or "none"


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
