"""One event in one line for people."""

from functools import singledispatch

from consumers.feedback_terms import OUTCOMES, verdict_counts
from schemas import batches, documents, evaluation, events


@singledispatch
def summary(event: events.Event) -> str:
    """The event in a phrase without its name. Texts are complete; the caller cuts the line."""
    raise NotImplementedError(f"{type(event).__name__} has no summary; register one in {__name__}.")


@summary.register
def _(event: events.RunConfigured) -> str:
    policy = event.policy
    sizes = f"{policy.clusters} clusters, batch {policy.batch_size}"
    return f"mode {policy.mode}, threshold {policy.threshold}, {sizes}, {len(event.seeds)} seeds"


@summary.register
def _(event: events.ClassifierFitted) -> str:
    return f"on {event.texts} {event.fitted_on}, in force from offset {event.from_offset}"


@summary.register
def _(event: events.InstructionsReleased) -> str:
    return f"{len(event.ids)} kept rows, from offset {event.from_offset} on"


@summary.register
def _(event: events.RunStarted) -> str:
    return ", ".join(f"{name} {version}" for name, version in event.versions.items())


@summary.register
def _(event: events.RunStopped) -> str:
    return event.reason


@summary.register
def _(event: events.GenerationHalted) -> str:
    return f"lane {event.lane}: {event.reason}"


@summary.register
def _(event: documents.DocumentRead) -> str:
    where = f"{event.source}, place {event.place}{f', from character {event.start}' if event.start else ''}"
    if event.dropped is not None:
        limits = "" if event.value is None or event.limit is None else f" ({event.value:.4g}, limit {event.limit:.4g})"
        nearest = "" if event.nearest_id is None else f", as {event.nearest_id}"
        return f"{where}: dropped, {event.dropped}{limits}{nearest}"
    language = "" if event.language is None else f" in {event.language}"
    return f"{where}: {event.characters:,} characters{language}: {' '.join(event.text[:200].split())}"


@summary.register
def _(event: documents.DocumentWithdrawn) -> str:
    return f"{event.document_id}: {' '.join(event.reason.split())}"


@summary.register
def _(event: events.CallStarted) -> str:
    return f"{event.model}, lane {event.lane}, number {event.number}, step {event.step}, attempt {event.attempt}"


@summary.register
def _(event: events.CallAnswered) -> str:
    tokens = "usage unknown" if event.usage is None else f"{event.usage.completion_tokens} tokens"
    cost = "" if event.cost_usd is None else f", ${event.cost_usd:.4f}"
    return f"{tokens} in {event.latency_s:.1f} s{cost}"


@summary.register
def _(event: events.CallFailed) -> str:
    tokens = "" if event.usage is None else f", {event.usage.prompt_tokens}+{event.usage.completion_tokens} tokens"
    cost = "" if event.cost_usd is None else f", ${event.cost_usd:.4f}"
    paid = ", perhaps paid for" if event.perhaps_paid else ""
    return f"attempt {event.attempt}: {event.error}{', will be retried' if event.retry else ''}{tokens}{cost}{paid}"


@summary.register
def _(event: batches.BatchPrepared) -> str:
    return f"{len(event.lines):,} requests of lane {event.lane}, {event.bytes:,} bytes, for {event.endpoint}"


@summary.register
def _(event: batches.BatchUploaded) -> str:
    return f"as {event.file_id}, lane {event.lane}"


@summary.register
def _(event: batches.BatchSubmitted) -> str:
    return f"as {event.remote_id}, lane {event.lane}"


@summary.register
def _(event: batches.BatchEnded) -> str:
    reason = f": {' '.join(event.reason.split())}" if event.reason else ""
    return (
        f"{event.status}, lane {event.lane}: {event.answered:,} answered, {event.failed:,} failed, "
        f"{event.unfinished:,} not carried out{reason}"
    )


@summary.register
def _(event: events.InstructionsGenerated) -> str:
    return f"{len(event.instructions)} instructions, {len(event.unparsed)} unparsed, from {', '.join(event.seed_ids)}"


@summary.register
def _(event: events.InstructionKept) -> str:
    return f"cluster {event.cluster}: {' '.join(event.instruction.split())}"


@summary.register
def _(event: events.InstructionsRejected) -> str:
    reasons = ", ".join(dict.fromkeys(rejection.reason for rejection in event.rejections))
    return f"{event.kept} of {event.generated} kept{f', rejected: {reasons}' if reasons else ''}"


@summary.register
def _(event: events.InstructionAnswered) -> str:
    found = f"not used, {event.reason}" if event.reason is not None else " ".join(event.row.output.split())
    return f"cluster {event.row.cluster}: {' '.join(event.row.instruction.split())}: {found}"


@summary.register
def _(event: events.InstructionJudged) -> str:
    score = "no score" if event.score is None else f"{event.score:g} of {event.scale.most:g}"
    return f"{score} by {event.judge.name}, cluster {event.cluster}: {' '.join(event.reason.split())}"


@summary.register
def _(event: evaluation.QuestionMeasured) -> str:
    right = "" if event.gold is None else ", right" if event.chosen == event.gold else ", wrong"
    return (
        f"{event.benchmark.name} {event.question_id} by {event.model.name}{right}: {' '.join(event.question.split())}"
    )


@summary.register
def _(event: evaluation.AnswerGiven) -> str:
    shown = event.text if event.outcome == "answered" else f"{event.outcome}, {event.reason}"
    return f"{event.asked.prompts} {event.prompt_id} by {event.model.name}: {' '.join(shown.split())}"


@summary.register
def _(event: evaluation.AnswersJudged) -> str:
    scores = "no score" if event.scores is None else " to ".join(f"{score:g}" for score in event.scores)
    models = " and ".join(event.models)
    return f"{event.prompts} {event.prompt_id}, {models}: {scores} by {event.judge.name}"


@summary.register
def _(event: events.TrainingLogged) -> str:
    where = f"epoch {event.epoch} window {event.window}"
    if not event.steps:
        return f"{where}: no steps"
    first, last = event.steps[0], event.steps[-1]
    loss = "not finite" if last.loss is None else f"{last.loss:.3f}"
    norm = "not finite" if last.grad_norm is None else f"{last.grad_norm:.3f}"
    return f"{where}: steps {first.step} to {last.step}, loss {loss}, gradient norm {norm}"


@summary.register
def _(event: events.ReplaceSeeds) -> str:
    changes = ", ".join(f"{change.victim_id} by {change.seed.id}" for change in event.replacements)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in verdict_counts(event).items())
    why = f", {changes}" if changes else f" ({OUTCOMES[event.outcome]})"
    return f"epoch {event.epoch} window {event.window}: {event.outcome}{why}{f'; rows: {verdicts}' if verdicts else ''}"
