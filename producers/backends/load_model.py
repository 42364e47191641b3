"""A load model: it simulates an LLM whose answers repeat themselves as a real one's do, for tests without an LLM.

It recognises the requests of the styles in all their forms (`producers.prompts`) and answers in the requested form:
  - instructions come from a finite pool of ideas, frequent and rare (`load_pool`): (near-)duplicates become more
    frequent, and the yield falls as the run goes on;
  - some answers are unparsable chatter, some are cut, some repeat one item to the end; some items are near-copies of
    the one before them, some break a rule.
Its rates were measured (docs/decisions/load-model.md).

An answer depends only on `rng_seed`, the lane, the number, the step and the request; not on the attempt, the order of
the requests, or the process. A judge's request is answered with a score. A request that is neither that nor a list is
answered with some words, as a question would be. Which seeds it is shown changes its answers, but not their rates.

Tokens are characters divided by `CHARACTERS_A_TOKEN`, limited by `max_tokens`. The latency is what the built-in model
would take for those tokens; `pace` 1 really waits that long.
"""

import asyncio
import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from producers.backends.base import Answer, CallPlace, Request, generates_only
from producers.backends.load_pool import Pool, text_of
from producers.backends.load_vocabulary import CHATTER, PLACES, QUALITIES, SHORT, THINGS, UNSUITABLE
from schemas.errors import ConfigurationError
from schemas.events import Usage

T = TypeVar("T")

MODEL_NAME = "load-model"
CHARACTERS_A_TOKEN = 3.94
TOKENS_A_SECOND = 7.8

_ALPACA = re.compile(r"(\d+)\. Instruction:\s*\Z")
_ALPACA_TOTAL = re.compile(r"\nList of (\d+) tasks:\n")
_ALPACA_CHAT = re.compile(r"Go on with the list from task (\d+) to task (\d+)")
_STRUCTURED = re.compile(r"Write the other (\d+) as JSON")
_LIST = re.compile(r"Below are (\d+) different tasks.*\n(\d+)\.\Z", re.DOTALL)
_JUDGE = re.compile(r"Give a score on a scale from .*=== Instruction\n.*=== End\n", re.DOTALL)
_ANSWERS = re.compile(r"=== Question\n.*=== Answer( 1\n.*=== Answer 2)?\n.*=== End\n", re.DOTALL)
_LIST_CHAT = re.compile(r"numbered from (\d+) to (\d+)\.\Z")


@dataclass(frozen=True)
class LoadRates:
    """Rates of what an answer contains.

    written       share of the requested items that a list has, drawn uniformly from these; chatter has none
    chatter       lists that are chatter instead
    cut           lists that are cut off
    stuck         lists that repeat one item to their end
    near_copy     items that differ from the one before in a word or two
    unsuitable    items with a word that the rules reject
    short         items too short for the rules
    with_input    whole tasks that have an input
    output_words  words of an output, drawn uniformly from these
    scores        of a judge's answers, drawn uniformly from these; not measured. Of compared answers, twice as much
    refusing      answers that a judge takes for refusals; not measured
    without_score judge's answers without a score; not measured
    """

    written: tuple[float, ...] = (1.0,) * 21 + (6 / 7,) + (5 / 7,) * 3 + (4 / 7,) * 2 + (3 / 7,) * 2 + (2 / 7,) * 6
    chatter: float = 6 / 41
    cut: float = 2 / 41
    stuck: float = 2 / 41
    near_copy: float = 9 / 194
    unsuitable: float = 7 / 194
    short: float = 2 / 194
    with_input: float = 0.41
    scores: tuple[float, ...] = (1.0, 2.0, 2.5, 3.0, 3.5, 3.5, 4.0, 4.0, 4.0, 4.5, 4.5, 4.5, 5.0)
    refusing: float = 1 / 10
    without_score: float = 1 / 50
    output_words: tuple[int, ...] = (5, 8, 11, 15, 17, 22, 25, 29, 38, 48, 56)


@dataclass(frozen=True)
class _ListRequest:
    """A request for `count` items, numbered from `first` on."""

    form: str
    first: int
    count: int


class LoadModel:
    """The backend. `pace`: share of the latency that a call really waits; ConfigurationError if below 0."""

    name = model = MODEL_NAME

    def __init__(
        self, *, rng_seed: int = 0, pace: float = 0.0, rates: LoadRates | None = None, pool: Pool | None = None
    ):
        if pace < 0:
            raise ConfigurationError(f"The load model's pace is {pace}; it must be 0 (no waiting) or more.")
        self._rng_seed = rng_seed
        self._pace = pace
        self._rates = rates or LoadRates()
        self._pool = pool or Pool()

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """The answer to this request at this place. Raises EndpointRefused for a scoring."""
        generates_only(self.name, request)
        text = request.text
        draws = self._draws(text, place)
        listed = _list_request(text, structured=request.json_schema is not None)
        if _JUDGE.search(text):
            raw, cut = self._judged(draws, 0), False
        elif (answers := _ANSWERS.search(text)) is not None:
            raw, cut = self._judged(draws, 2 if answers[1] else 1), False
        elif listed is None:
            raw, cut = self._output(draws), False
        else:
            raw, cut = self._list(listed, draws)
        most = request.sampling.max_tokens
        if most is not None and _tokens(raw) > most:
            raw, cut = raw[: int(most * CHARACTERS_A_TOKEN)], True
        usage = Usage(prompt_tokens=_tokens(text), completion_tokens=_tokens(raw))
        latency_s = usage.completion_tokens / TOKENS_A_SECOND
        if self._pace:
            await asyncio.sleep(latency_s * self._pace)
        return Answer(raw, "length" if cut else "stop", usage, MODEL_NAME, latency_s)

    async def close(self) -> None:
        """There is nothing to close."""

    def _draws(self, text: str, place: CallPlace) -> random.Random:
        key = json.dumps([self._rng_seed, place.lane, place.number, place.step, text])
        return random.Random(int.from_bytes(hashlib.sha256(key.encode()).digest()))

    def _judged(self, draws: random.Random, answers: int) -> str:
        """Scores and their reason; sometimes only the reason. `answers` of models that are judged; 0: a row."""
        reason = self._output(draws)
        if draws.random() < self._rates.without_score:
            return reason
        if answers == 1:
            return f"{int(draws.random() < self._rates.refusing)}\n{reason}"
        scores = [_choice(self._rates.scores, draws) * max(1, answers) for _ in range(max(1, answers))]
        return f"{' '.join(f'{score:g}' for score in scores)}\n{reason}"

    def _list(self, listed: _ListRequest, draws: random.Random) -> tuple[str, bool]:
        """A list in the requested form, and whether it is cut off."""
        rates = self._rates
        if draws.random() < rates.chatter:
            return " ".join(_choice(CHATTER, draws) for _ in range(2)), False
        items = self._items(max(1, round(listed.count * _choice(rates.written, draws))), draws)
        if listed.form == "list":
            raw = "\n".join(f"{number}. {item}" for number, item in enumerate(items, start=listed.first))
            raw = raw.removeprefix(f"{listed.first}.")
        else:
            tasks = [(item, self._input(draws), self._output(draws)) for item in items]
            raw = _json(tasks) if listed.form == "structured" else _labelled(tasks, listed)
        if draws.random() >= rates.cut:
            return raw, False
        # Inside the last item, so that the items before it are complete.
        last = raw.rfind(items[-1])
        return raw[: last + len(items[-1]) // 2], True

    def _items(self, count: int, draws: random.Random) -> list[str]:
        items: list[str] = []
        stuck_from = int(draws.random() * count / 2) if draws.random() < self._rates.stuck else count
        for place in range(count):
            if place > stuck_from:
                items.append(items[-1])
            elif items and draws.random() < self._rates.near_copy:
                items.append(_near(items[-1], draws))
            else:
                items.append(self._item(draws))
        return items

    def _item(self, draws: random.Random) -> str:
        at = draws.random()
        if at < self._rates.short:
            return _choice(SHORT, draws)
        item = text_of(*self._pool.draw(draws))
        if at < self._rates.short + self._rates.unsuitable:
            return f"{item[:-1]} and add a {_choice(UNSUITABLE, draws)}{item[-1]}"
        return item

    def _input(self, draws: random.Random) -> str:
        if draws.random() >= self._rates.with_input:
            return ""
        return f"The {_choice(QUALITIES, draws)} {_choice(THINGS, draws)} was seen {_choice(PLACES, draws)}."

    def _output(self, draws: random.Random) -> str:
        words: list[str] = []
        wanted = _choice(self._rates.output_words, draws)
        while len(words) < wanted:
            sentence = (
                f"A {_choice(QUALITIES, draws)} {_choice(THINGS, draws)} is often found {_choice(PLACES, draws)}."
            )
            words += sentence.split()
        return " ".join(words)


def _near(item: str, draws: random.Random) -> str:
    """The item with two words replaced: about 0.83 in ROUGE-L F for an item of usual length."""
    words = item.split()
    for place in (-2, -4):
        words[max(place, -len(words))] = _choice(QUALITIES, draws)
    return " ".join(words)


def _list_request(text: str, *, structured: bool) -> _ListRequest | None:
    """The list that the request asks for; None for a question."""
    if structured and (found := _STRUCTURED.search(text)):
        return _ListRequest("structured", 1, int(found[1]))
    if found := _ALPACA_CHAT.search(text):
        return _ListRequest("chat", int(found[1]), int(found[2]) - int(found[1]) + 1)
    if found := _LIST_CHAT.search(text):
        return _ListRequest("list", int(found[1]), int(found[2]) - int(found[1]) + 1)
    if found := _LIST.search(text):
        return _ListRequest("list", int(found[2]), int(found[1]) - int(found[2]) + 1)
    total = _ALPACA_TOTAL.search(text)
    if total and (found := _ALPACA.search(text)):
        return _ListRequest("completion", int(found[1]), int(total[1]) - int(found[1]) + 1)
    return None


def _labelled(tasks: Sequence[tuple[str, str, str]], listed: _ListRequest) -> str:
    raw = "".join(
        f"###\n{number}. Instruction: {instruction}\n{number}. Input:\n{given or '<noinput>'}\n"
        f"{number}. Output:\n{output}\n"
        for number, (instruction, given, output) in enumerate(tasks, start=listed.first)
    )
    # A completion continues after the label that the prompt ends with.
    return raw.removeprefix(f"###\n{listed.first}. Instruction:") if listed.form == "completion" else raw


def _json(tasks: Sequence[tuple[str, str, str]]) -> str:
    named = [{"instruction": instruction, "input": given, "output": output} for instruction, given, output in tasks]
    return json.dumps({"tasks": named}, indent=1)


def _tokens(text: str) -> int:
    return int(len(text) / CHARACTERS_A_TOKEN)


def _choice(of: Sequence[T], draws: random.Random) -> T:
    return of[int(draws.random() * len(of))]
