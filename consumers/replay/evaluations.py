"""Evaluations in an audit: verdicts on questions, answers to prompts and judges' scores, decided again.

They are checked after everything else: an evaluation comes long after the rows it is about. First the questions, then
the answers, then the judgements of these; a judge's answers on `calls` are held until then. Of an answer memory holds
its id, its model's key and a digest of its prompt.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from consumers.folds.deduplicate import Found
from consumers.replay.digests import Digests, answer_content, answers_judged_content, digest, measured_content
from consumers.replay.effect_stream import EffectStream, content
from consumers.replay.findings import Findings, Kind, Place, differences, place_of
from consumers.replay.generations import GenerationAnswers
from consumers.replay.redecided import redecided, scores_in
from consumers.replay.repeats import RepeatCheck
from infra.log.record import Record
from schemas import ids
from schemas.evaluation import AnswerGiven, AnswersJudged, QuestionMeasured
from schemas.events import CallAnswered

TOPICS = ("measured", "answers", "judgements")
EVALUATED = ("measured", "answers_given", "answers_judged")
"""What an audit counts these topics' events as."""

_COUNTED = dict(zip(TOPICS, EVALUATED, strict=True))

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _Subject(NamedTuple):
    """The event that is checked.

    id     as recorded
    known  ids that its requests may come from: its own, and the recorded one, so that a wrong id is one fault
    name   in a sentence
    """

    place: Place
    id: str
    known: tuple[str, ...]
    name: str

    def requests(self, step: int) -> tuple[str, ...]:
        return tuple(ids.request_id(id, step) for id in self.known)


class _Given(NamedTuple):
    """What is remembered of an answer."""

    model: str
    prompt: int


class EvaluationAudit:
    """The topics of evaluations, checked from their start to their end.

    count   events by what they are counted as, without repeats
    """

    def __init__(
        self, streams: dict[str, list[EffectStream]], calls: GenerationAnswers, findings: Findings, digests: Digests
    ) -> None:
        self._streams = {topic: streams[topic][0] for topic in TOPICS}
        self._calls = calls
        self._findings = findings
        self._digests = digests
        self._given: dict[str, _Given] = {}
        self._models: dict[str, str] = {}
        self.count = dict.fromkeys(EVALUATED, 0)

    def check(self) -> None:
        """Check all of them."""
        for record, question in self._fresh("measured", QuestionMeasured, measured_content):
            self._check_question(record, question)
        for record, given in self._fresh("answers", AnswerGiven, answer_content):
            self._check_given(record, given)
        for record, judged in self._fresh("judgements", AnswersJudged, answers_judged_content):
            self._check_judged(record, judged)

    def _fresh(
        self, topic: str, kind: type[Found], digested: Callable[[Found], bytes]
    ) -> Iterator[tuple[Record, Found]]:
        """The topic's events that are no repeats, counted and with their content in the digests."""
        repeats = RepeatCheck(self._findings)
        while (record := self._streams[topic].take()) is not None:
            event = record.event
            if event is None:
                self._findings.cannot_read(record, str(record.error))
            elif repeats.fresh(record, event, content(record)) and isinstance(event, kind):
                self.count[_COUNTED[topic]] += 1
                self._digests.add(topic, digested(event))
                yield record, event

    # -- each event ----------------------------------------------------------------------------------------------

    def _check_question(self, record: Record, event: QuestionMeasured) -> None:
        name = f"Question {event.question_id} of {event.benchmark.name}, measured with {event.model.key},"
        own = ids.measured_id(event.model.key, event.benchmark.key, event.question_id)
        subject = self._subject(record, name, own)
        sizes = len(event.choices), len(event.loglikelihoods), len(event.tokens)
        if len(set(sizes)) > 1 or not sizes[0]:
            what = f"has {sizes[0]} choices, {sizes[1]} log-likelihoods and {sizes[2]} numbers of tokens"
            self._report("altered", subject, what, sizes, None)
            return
        if event.gold is not None and event.gold >= sizes[0]:
            self._report("altered", subject, "has no choice at its right place", event.gold, None)
        self._check_verdict(subject, event, "has another verdict than its log-likelihoods give")

    def _check_given(self, record: Record, event: AnswerGiven) -> None:
        name = f"The answer of {event.model.key} to {event.prompt_id} of {event.asked.prompts}"
        subject = self._subject(record, name, ids.answer_id(event.model.key, event.asked.key, event.prompt_id))
        model = self._models.setdefault(event.model.key, event.model.key)
        given = _Given(model, _prompt(event.asked.prompts, event.prompt_id, event.group))
        for id in subject.known:
            self._given.setdefault(id, given)
        self._check_calls(subject, event.answers)
        if event.answers:
            self._check_verdict(subject, event, "is not what its call's answer is read as")
            return
        self._expect_no_answer(subject, 0)
        if event.model.kind != "file" and (event.text or event.outcome not in ("refused", "failed")):
            what = "has a text, or none for no reason, without a call"
            self._report("read", subject, what, (event.outcome, event.text), None)

    def _check_judged(self, record: Record, event: AnswersJudged) -> None:
        name = f"The judgement of {event.prompt_id} of {event.prompts} by {event.judge.name}"
        subject = self._subject(record, name, ids.answers_judged_id(event.judge.name, event.answer_ids))
        given = [self._given.get(id) for id in event.answer_ids]
        missing = [id for id, found in zip(event.answer_ids, given, strict=True) if found is None]
        if missing:
            self._report("unexpected", subject, "is of answers that are not on `answers`", missing, None)
        models = tuple("" if found is None else found.model for found in given)
        if not missing and models != event.models:
            self._report("altered", subject, "names other models than gave its answers", event.models, models)
        prompt = _prompt(event.prompts, event.prompt_id, event.group)
        if any(found is not None and found.prompt != prompt for found in given):
            recorded = event.prompts, event.prompt_id, event.group
            self._report("altered", subject, "names another prompt than its answers'", recorded, None)
        self._check_calls(subject, event.answers)
        self._check_scores(subject, event)
        if event.scores is None:
            self._expect_no_answer(subject, len(event.answers))

    def _check_scores(self, subject: _Subject, event: AnswersJudged) -> None:
        parsed = [scores_in(answer, event) for answer in event.answers]
        for found in parsed[:-1]:
            if found.values is not None:
                self._report("read", subject, "has another request after its scores", None, found.values)
        if not parsed:
            if event.scores is not None:
                self._report("read", subject, "has scores without an answer", event.scores, None)
            return
        last = parsed[-1]
        # without scores the reason may be an endpoint's refusal, which is in no answer
        if event.scores != last.values or (event.scores is not None and event.reason != last.reason):
            recorded = event.scores, event.reason
            self._report("read", subject, "is not what its answer parses to", recorded, tuple(last))

    # -- what they have in common --------------------------------------------------------------------------------

    def _subject(self, record: Record, name: str, own: str) -> _Subject:
        """The event to check; reported if its id is not its `own`."""
        known = (own, record.id) if record.id != own and _UUID.fullmatch(record.id) else (own,)
        subject = _Subject(place_of(record), record.id, known, name)
        if record.id != own:
            self._report("altered", subject, "has an id that is not its own", record.id, own)
        return subject

    def _check_calls(self, subject: _Subject, answers: tuple[CallAnswered, ...]) -> None:
        for step, answer in enumerate(answers):
            on_ledger = self._calls.take(answer.request_id, answer.attempt)
            if on_ledger != answer or answer.request_id not in subject.requests(step):
                self._report("answer", subject, "holds an answer that is not its own on `calls`", answer, on_ledger)

    def _expect_no_answer(self, subject: _Subject, step: int) -> None:
        """A request of the subject was not made any more."""
        for request in subject.requests(step):
            self._calls.expect_none(request, partial(self._left_out, subject))

    def _left_out(self, subject: _Subject, answer: CallAnswered) -> None:
        self._report("answer", subject, "leaves out an answer that is on `calls`", None, answer)

    def _check_verdict(self, subject: _Subject, event: QuestionMeasured | AnswerGiven, what: str) -> None:
        recorded, decided = differences(event, redecided(event))
        if recorded:
            self._report("read", subject, what, recorded, decided)

    def _report(self, kind: Kind, subject: _Subject, what: str, recorded: object, decided: object) -> None:
        topic, _, offset = subject.place
        at, what = self._findings.state().applied + 1, f"{subject.name} {what} (at {offset} of {topic})."
        self._findings.diverged(kind, subject.place, at, what, id=subject.id, recorded=recorded, decided=decided)


def _prompt(*names: str) -> int:
    return digest("\0".join(names).encode())
