"""Rows of the benchmarks' data as questions, in the forms in which the data sets are to be had.

    ARC        question, choices {text, label}, answerKey             as on the hub
               question, choices [text], answer                       place of the right one, from 0
    HellaSwag  activity_label, ctx_a, ctx_b, endings, label           as on the hub
               ctx, endings, label                                    context joined and cleaned already
    MMLU       subject, question, choices [text], answer              as on the hub

A question's id is its `row`, or its place among the rows (MMLU: among those of its subject), from 0.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from consumers.evaluation.benchmarks.tasks import LETTERS, SourceQuestion, story_context, without_tags
from infra.columns import named
from infra.tables import TableRow
from schemas.errors import ConfigurationError

_DIGITS = 3  # of a choice's place, at most
PUBLISHED, JOINED = "published", "joined context"


def source_questions(task: str, rows: Iterable[TableRow], file: str) -> tuple[tuple[SourceQuestion, ...], str]:
    """The questions and the form of their data.

    Raises ConfigurationError, with file and place, for a missing field, a wrong gold answer, or an id that two have.
    """
    found: list[SourceQuestion] = []
    forms: set[str] = set()
    counted: Counter[str] = Counter()
    places: dict[str, str] = {}
    for row in rows:
        reader = _Row(row, file)
        subject = reader.text("subject") if task == "mmlu" else ""
        number = str(row.fields.get("row", counted[subject]))
        counted[subject] += 1
        question, form = _READERS[task](reader, f"{subject}/{number}" if subject else number, subject)
        if question.id in places:
            raise ConfigurationError(
                f"{file}, {row.place}: question {question.id} is also at {places[question.id]}. Give each another "
                "`row`, or leave that field out everywhere."
            )
        places[question.id] = row.place
        forms.add(form)
        found.append(question)
    return tuple(found), ", ".join(sorted(forms))


class _Row:
    """A row's fields, with errors that name its place."""

    def __init__(self, row: TableRow, file: str) -> None:
        self.fields: Mapping[str, Any] = row.fields
        self._where = f"{file}, {row.place}"

    def error(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self._where}: {what} Fields found: {named(tuple(self.fields)) or 'none'}. `sedi eval benchmarks --help` "
            "names the forms that are read."
        )

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"`{name}` is missing or is no text.")
        return value

    def texts(self, name: str, value: Any = None) -> tuple[str, ...]:
        value = self.fields.get(name) if value is None else value
        if not isinstance(value, list | tuple) or len(value) < 2 or not all(isinstance(each, str) for each in value):
            raise self.error(f"`{name}` is no list of two texts or more.")
        return tuple(value)

    def place(self, name: str, choices: tuple[str, ...]) -> int:
        """A place among the choices, from 0, as a number, a text of one, or a capital letter."""
        value = self.fields.get(name)
        text = "" if value is None or isinstance(value, bool) else str(value).strip()
        place = -1
        if len(text) <= _DIGITS:
            place = int(text) if text.isdecimal() else LETTERS.find(text) if len(text) == 1 else -1
        if not 0 <= place < len(choices):
            raise self.error(f"`{name}` is {value!r}, which is the place of none of the {len(choices)} choices.")
        return place


def _arc(row: _Row, id: str, subject: str) -> tuple[SourceQuestion, str]:
    choices = row.fields.get("choices")
    if not isinstance(choices, Mapping):
        texts = row.texts("choices")
        return SourceQuestion(id, subject, row.text("question"), texts, row.place("answer", texts)), PUBLISHED
    texts, labels = row.texts("choices.text", choices.get("text")), row.texts("choices.label", choices.get("label"))
    key = row.text("answerKey")
    if key not in labels or len(labels) != len(texts):
        raise row.error(f"`answerKey` is {key!r}, and the {len(texts)} choices have the labels {', '.join(labels)}.")
    return SourceQuestion(id, subject, row.text("question"), texts, labels.index(key)), PUBLISHED


def _hellaswag(row: _Row, id: str, subject: str) -> tuple[SourceQuestion, str]:
    endings = row.texts("endings")
    gold = row.place("label", endings)
    if "ctx_a" not in row.fields:
        return SourceQuestion(id, subject, row.text("ctx"), endings, gold), JOINED
    second = row.fields.get("ctx_b") or ""
    if not isinstance(second, str):
        raise row.error("`ctx_b` is no text.")
    context = story_context(row.text("activity_label"), row.text("ctx_a"), second)
    return SourceQuestion(id, subject, context, tuple(map(without_tags, endings)), gold), PUBLISHED


def _mmlu(row: _Row, id: str, subject: str) -> tuple[SourceQuestion, str]:
    choices = row.texts("choices")
    if len(choices) > len(LETTERS):
        raise row.error(f"there are {len(choices)} `choices`, and {len(LETTERS)} have letters.")
    return SourceQuestion(id, subject, row.text("question"), choices, row.place("answer", choices)), PUBLISHED


_READERS = {"arc_easy": _arc, "arc_challenge": _arc, "hellaswag": _hellaswag, "mmlu": _mmlu}
