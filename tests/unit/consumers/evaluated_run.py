"""A run with an evaluation of two models on its log, as `sedi eval` writes it: questions, answers, judgements."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from infra.log.archive import MANIFEST, ArchiveFile, ArchiveManifest, ArchiveSource, line_of
from infra.log.record import Record
from infra.log.source import TOPICS, dead_letter_topics
from schemas import ids
from schemas.evaluation import AnswerGiven, AnswersJudged, Asked, Benchmark, EvaluatedModel, QuestionMeasured, TrainedBy
from schemas.events import CallAnswered, CallStarted, Judge
from streams.core.evaluation.given import read_answer
from streams.core.evaluation.likelihood import chosen
from streams.core.evaluation.pair_scores import PAIR_SCALE, scores_of
from tests.unit.consumers.recorded_run import ToldRun, whole_run
from tests.unit.consumers.story import Written

MINE = EvaluatedModel(
    name="demo@4", kind="folder", source="model", sha256="a" * 64, trained=TrainedBy(run="demo", step=4, offsets=(2, 1))
)
FILED = EvaluatedModel(name="reference", kind="file", source="reference.json", sha256="b" * 64)
ARC = Benchmark(name="arc_easy", version=1, shots=0, form="published", data_sha256="c" * 64)
ASKED = Asked(prompts="vicuna", sha256="d" * 64, template="chat", parameters={"temperature": 0.0, "max_tokens": 512})
FROM_FILE = Asked(prompts="vicuna", sha256="d" * 64)
JUDGE = Judge(backend="recorded", model="big", rubric="pair", version=1)
CHOICES = ("an ice cube", "a coin", "a pebble")
LOGLIKELIHOODS = ((-7.25, -11.5, -12.0), (-9.0, -8.5, -8.75), (-3.0, -4.0, -40.0))
"""Of three questions whose right choice is the first: right; wrong; right."""
RAWS = ("<think>Hm.</think>Keep it in a cloth bag.", "  ", "In the middle of", "Water boils.")
"""A whole answer behind a thought, an empty one, one that is cut off, and one that nobody judges."""
ENDS = ("stop", "stop", "length", "stop")
SCORES = ("8 6.5\nThe first one says why.", "7 7\nEqual.", "I cannot decide.")
"""Of the first prompt in both orders, and of the third in one, asked for once more."""


def loglikelihoods(story: ToldRun, values: Sequence[float], number: int, **said: Any) -> Written:
    """A measured question; `said`: what it says otherwise than it should."""
    first, per_character = chosen(values, CHOICES)
    event = QuestionMeasured(
        model=MINE,
        benchmark=ARC,
        question_id=f"q{number}",
        group="",
        group_size=2376,
        sample="3 questions, seed 0",
        question="Which of these melts first in a warm hand?",
        prompt_sha256="e" * 64,
        choices=CHOICES,
        loglikelihoods=tuple(values),
        tokens=(3, 2, 3),
        gold=0,
        chosen=first,
        chosen_per_character=per_character,
        engine="direct",
        precision="fp32",
    )
    id = ids.measured_id(MINE.key, ARC.key, event.question_id)
    return story.tell(replace(event, **said), id=id, key=id)


def called(story: ToldRun, cause: str, step: int, raw: str, end: str = "stop") -> CallAnswered:
    """A call and its answer on the ledger."""
    request = ids.request_id(cause, step)
    started = CallStarted(
        request_id=request,
        attempt=1,
        generation_id=cause,
        lane="eval/answers",
        number=0,
        step=step,
        backend="transformers",
        model="m",
    )
    answer = CallAnswered(
        request_id=request, attempt=1, model="m", raw=raw, finish_reason=end, usage=None, cost_usd=0.25, latency_s=1.0
    )
    story.tell(started, id=ids.child(request, "started/1"), key=request)
    story.tell(answer, id=ids.child(request, "answered/1"), key=request)
    return answer


def answer_of(model: EvaluatedModel, asked: Asked, prompt: int) -> str:
    return ids.answer_id(model.key, asked.key, f"p{prompt}")


def given(
    story: ToldRun,
    prompt: int,
    model: EvaluatedModel = MINE,
    in_file: str = "",
    *,
    asked: Asked | None = None,
    **said: Any,
) -> Written:
    """An answer to a prompt: by a call, or from a file."""
    of_file = model.kind == "file"
    asked = asked or (FROM_FILE if of_file else ASKED)
    id = answer_of(model, asked, prompt)
    answers = () if of_file else (called(story, id, 0, RAWS[prompt], ENDS[prompt]),)
    outcome, read, reason = read_answer(answers, 2) if answers else ("answered", in_file, "")
    event = AnswerGiven(
        model=model,
        asked=asked,
        prompt_id=f"p{prompt}",
        group="generic",
        instruction=f"How does thing {prompt} work?",
        input="for a child" if prompt == 3 else "",
        references=(),
        outcome=outcome,
        text=read,
        reason=reason,
        answers=answers,
        cost_usd=0.25 if answers else None,
        reading=2,
    )
    return story.tell(replace(event, **said), id=id, key=id)


def judged(story: ToldRun, prompt: int, raws: Sequence[str], *, turned: bool = False, **said: Any) -> Written:
    """A judgement of the two models' answers; `turned`: in the other order."""
    shown = [(answer_of(MINE, ASKED, prompt), MINE.key), (answer_of(FILED, FROM_FILE, prompt), FILED.key)]
    if turned:
        shown.reverse()
    answer_ids = tuple(id for id, _ in shown)
    id = ids.answers_judged_id(JUDGE.name, answer_ids)
    answers = tuple(called(story, id, step, raw) for step, raw in enumerate(raws))
    scores, reason = scores_of(answers[-1], PAIR_SCALE, 2, reading=2)
    event = AnswersJudged(
        judge=JUDGE,
        scale=PAIR_SCALE,
        prompts="vicuna",
        prompt_id=f"p{prompt}",
        group="generic",
        answer_ids=answer_ids,
        models=tuple(key for _, key in shown),
        scores=scores,
        reason=reason,
        answers=answers,
        cost_usd=0.25 * len(answers),
        reading=2,
    )
    return story.tell(replace(event, **said), id=id, key=id)


def evaluate(story: ToldRun) -> None:
    """An evaluation of a model beside a file of answers: three questions, four prompts, three judgements."""
    for number, values in enumerate(LOGLIKELIHOODS):
        loglikelihoods(story, values, number)
    for prompt in range(len(RAWS)):
        given(story, prompt)
        given(story, prompt, FILED, f"So does thing {prompt}.")
    judged(story, 0, SCORES[:1])
    judged(story, 0, SCORES[1:2], turned=True)
    judged(story, 2, [SCORES[2], SCORES[2]])


def evaluated_run() -> ToldRun:
    """The whole run, and an evaluation of its model at step 4."""
    story = whole_run()
    evaluate(story)
    return story


def evaluation() -> ToldRun:
    """The evaluation alone."""
    story = ToldRun("undisturbed")
    story.written.clear()
    evaluate(story)
    return story


def archived(story: ToldRun, folder: Path, *, after: Path) -> ArchiveSource:
    """An archive of the run in `after` that goes on with what the story tells."""
    before = ArchiveSource(after)
    with before.open((*TOPICS, *dead_letter_topics())) as reading:
        records = list(reading.rest())
    told = Counter({file.place: 0 for file in before.manifest.files})
    told.update(record.place for record in records)
    for record in story.records():
        key, value, headers = record.key, record.value, record.headers
        records.append(Record(*record.place, told[record.place], record.timestamp_ms, key, value, headers))
        told[record.place] += 1
    return archive_of(records, told, story.run, folder)


def archive_of(records: Sequence[Record], places: Iterable[tuple[str, int]], run: str, folder: Path) -> ArchiveSource:
    """An archive of records, with a file for each of the places (topic, partition)."""
    folder.mkdir()
    files = []
    for topic, partition in sorted(places):
        lines = [line_of(record) for record in records if record.place == (topic, partition)]
        name = f"{topic}-{partition}.jsonl"
        (folder / name).write_bytes(b"".join(lines))
        size, sha256 = len(lines), hashlib.sha256(b"".join(lines)).hexdigest()
        entry = ArchiveFile(name=name, topic=topic, partition=partition, start=0, end=size, records=size, sha256=sha256)
        files.append(entry)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(ArchiveManifest(format=1, run=run, files=tuple(files))))
    return ArchiveSource(folder)
