"""Maps a row of a known form to an instruction with input and output. Pure: reads no file.

    instruction, input, output      Alpaca; `context` for the input and `response` for the output: Dolly
    prompt, completion              TRL, as texts or as lists of messages
    question, answer
    messages                        OpenAI: role and content
    conversations                   ShareGPT: from and value
    instruction, instances          Self-Instruct's seed tasks: the first instance

Of a conversation, the first exchange is used: the first user turn and its answer. A system prompt is prepended to the
instruction with an empty line between, where chat templates without a system role put it. A null or missing value is an
empty text; a number, boolean, list or object is its JSON. Names are case-insensitive. Other columns are ignored.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.errors import ConfigurationError
from schemas.events import Instruction

_INSTRUCTION = ("instruction", "prompt", "question")
_INPUT = ("input", "context")
_OUTPUT = ("output", "response", "completion", "answer")
_SYSTEM = ("system", "system_prompt")
_TURNS = ("messages", "conversations")
_INSTANCES = "instances"
KNOWN = frozenset((*_INSTRUCTION, *_INPUT, *_OUTPUT, *_SYSTEM, *_TURNS, _INSTANCES))
"""The column names that are used, in lower case."""

EXPECTED = (
    "Expected are `instruction`, `input` and `output`, or `context`/`response`, `prompt`/`completion`, "
    "`question`/`answer`, `messages`, `conversations`, or `instruction` with `instances`."
)

_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "system": "system",
    "developer": "system",
}
_FIELDS_NAMED = 12

_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


@dataclass(frozen=True)
class ColumnTask:
    """A mapped row.

    place                its place in the file
    id                   its `id`, if it has one
    is_classification    the column of that name; False without one
    unused_turns         turns of a conversation after the exchange that is used
    fields               the row's column names, unchanged
    """

    place: str
    task: Instruction
    id: str | None = None
    is_classification: bool = False
    unused_turns: int = 0
    fields: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether it has an output."""
        return bool(self.task.output.strip())


def task_of(row: dict[str, Any], file: str, place: str) -> ColumnTask:
    """The row as a task; its output may be empty.

    Raises ConfigurationError, with file and place, for a row without an instruction, a value that must be text and is
    not, or a conversation that does not begin with a user turn and an answer.
    """
    where = f"{file}, {place}"
    fields = {name.strip().casefold(): value for name, value in reversed(row.items())}  # the first of equal names
    unused = 0
    if _is_there(fields, "instruction") and isinstance(fields.get(_INSTANCES), Sequence):
        task = _of_instances(fields, where)
    elif not _is_there(fields, "instruction") and (turns := _turns(fields, where)) is not None:
        task, unused = _of_turns(turns, text_of(_value(fields, _SYSTEM, where)), where)
    else:
        task = _of_columns(fields, list(row), where)
    id = fields.get("id")
    return ColumnTask(
        place=place,
        task=task,
        id=None if id is None else text_of(id),
        is_classification=_truth(fields.get("is_classification"), where),
        unused_turns=unused,
        fields=tuple(row),
    )


def named(fields: Sequence[str]) -> str:
    """Field names for a sentence, shortened."""
    more = len(fields) - _FIELDS_NAMED
    return ", ".join(f"`{name}`" for name in fields[:_FIELDS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _of_columns(fields: Mapping[str, Any], names: Sequence[str], where: str) -> Instruction:
    column = next((name for name in _INSTRUCTION if _is_there(fields, name)), None)
    if column is None:
        empty = [name for name in _INSTRUCTION if name in fields]
        what = f"`{empty[0]}` is empty" if empty else "no instruction is found"
        raise ConfigurationError(f"{where}: {what}. Fields found: {named(names) or 'none'}. {EXPECTED}")
    return Instruction(
        instruction=_with_system(_value(fields, _SYSTEM, where), _plain(fields[column], column, where)),
        input=text_of(_value(fields, _INPUT, where)),
        output=text_of(_value(fields, _OUTPUT, where)),
    )


def _of_instances(fields: Mapping[str, Any], where: str) -> Instruction:
    instances = fields[_INSTANCES]
    first = instances[0] if instances else None
    if not isinstance(first, Mapping):
        raise ConfigurationError(
            f"{where}: `instances` has no instance. Give a list with an object of `input` and `output`."
        )
    return Instruction(
        instruction=_plain(fields["instruction"], "instruction", where),
        input=text_of(first.get("input")),
        output=text_of(first.get("output")),
    )


def _of_turns(turns: Sequence[tuple[str, str]], system: str, where: str) -> tuple[Instruction, int]:
    """The first exchange, and how many turns follow it."""
    systems = [text for role, text in turns if role == "system"]
    dialogue = [(role, text) for role, text in turns if role != "system"]
    if not dialogue or dialogue[0][0] != "user" or not dialogue[0][1].strip():
        raise ConfigurationError(
            f"{where}: the conversation does not begin with a user's turn. Give one that begins with `user` (or "
            "`human`) and goes on with `assistant` (or `gpt`)."
        )
    if len(dialogue) > 1 and dialogue[1][0] != "assistant":
        raise ConfigurationError(
            f"{where}: the user's first turn is followed by one of `{dialogue[1][0]}`, not of `assistant` (or `gpt`)."
        )
    before = "\n\n".join(text for text in (system, *systems[:1]) if text.strip())
    answer = dialogue[1][1] if len(dialogue) > 1 else ""
    return Instruction(instruction=_with_system(before, dialogue[0][1]), output=answer), max(0, len(dialogue) - 2)


def _turns(fields: Mapping[str, Any], where: str) -> list[tuple[str, str]] | None:
    """Role and text of each turn; None for a row that is not a conversation."""
    name = next((name for name in _TURNS if _is_there(fields, name)), None)
    if name is not None:
        value = fields[name]
        if isinstance(value, str):  # a cell of a CSV
            try:
                value = msgspec.json.decode(value)
            except msgspec.MsgspecError as error:
                raise ConfigurationError(f"{where}: `{name}` is a text that is not a JSON list ({error}).") from error
    elif isinstance(prompt := fields.get("prompt"), list | tuple):
        name, answer = "prompt", fields.get("completion")
        if isinstance(answer, str):
            answer = [{"role": "assistant", "content": answer}]
        value = [*prompt, *(answer if isinstance(answer, list | tuple) else ())]
    else:
        return None
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{where}: `{name}` is {_kind(value)}; give a list of turns.")
    return [_turn(turn, name, where) for turn in value]


def _turn(turn: Any, name: str, where: str) -> tuple[str, str]:
    if not isinstance(turn, Mapping):
        raise ConfigurationError(f"{where}: a turn of `{name}` is {_kind(turn)}; give objects of role and content.")
    role, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
    if not isinstance(role, str):
        raise ConfigurationError(f"{where}: a turn of `{name}` has no `role` or `from`; it has {named(list(turn))}.")
    if isinstance(text, list | tuple):
        text = "".join(_part(part, name, where) for part in text)
    return _ROLES.get(role.strip().casefold(), role), text_of(text)


def _part(part: Any, name: str, where: str) -> str:
    """The text of one part of a multi-part content."""
    text = part.get("text") if isinstance(part, Mapping) else part
    if not isinstance(text, str):
        raise ConfigurationError(f"{where}: a turn of `{name}` has a part that is not text. Leave such rows out.")
    return text


def _with_system(system: Any, instruction: str) -> str:
    before = text_of(system)
    return f"{before}\n\n{instruction}" if before.strip() else instruction


def _value(fields: Mapping[str, Any], names: Sequence[str], where: str) -> Any:
    """The value of whichever of these columns has one. Raises ConfigurationError when several differ."""
    found = [name for name in names if _is_there(fields, name)]
    if any(fields[name] != fields[found[0]] for name in found[1:]):
        raise ConfigurationError(
            f"{where}: {named(found)} have different values. Keep one of them, or rename the others."
        )
    return fields[found[0]] if found else None


def _is_there(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    return not _is_missing(value) and not (isinstance(value, str) and not value.strip())


def _is_missing(value: Any) -> bool:
    """Whether a value is null, or the NaN that stands for it in numeric columns."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{where}: `{name}` is {_kind(value)}; it must be a text.")
    return value


def text_of(value: Any) -> str:
    """The text of a value: a null or missing one is empty, what is no text is its JSON."""
    if _is_missing(value):
        return ""
    return value if isinstance(value, str) else _encoder.encode(value).decode()


def _truth(value: Any, where: str) -> bool:
    match value.strip().casefold() if isinstance(value, str) else value:
        case None | False | "" | "false" | "no" | "0" | 0:
            return False
        case True | "true" | "yes" | "1" | 1:
            return True
    raise ConfigurationError(f"{where}: `is_classification` is {_kind(value)}; give true or false.")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return "a number"
