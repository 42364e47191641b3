"""A load model: a stand-in for an LLM whose answers repeat themselves as a real one's do, for tests without one.

It knows the requests of both styles in all their forms (`producers.prompts`) and answers in the form asked for:
  - instructions come from a finite pool of ideas, frequent and rare (`load_pool`), so that the more is generated the
    more is a repeat or a near-repeat of something before: the yield falls as the run goes on;
  - some answers are chatter that nothing can be read from, some are cut, some get stuck and repeat their last item to
    the end, some items are near-copies of the one before them, some break a rule.
Its rates are those that were measured; docs/decisions/load-model.md says of what.

An answer is a function of `rng_seed`, the lane, the number, the step and the request, and of nothing else: not of the
attempt, of the order in which answers are asked for, or of which process asks. A judge's request is answered with a
score; another that it does not know as a list is taken for a question, and answered with some words. It does not react
to which seeds it is shown, other than by answering something else.

Its tokens are characters divided by `CHARACTERS_A_TOKEN`, as many as the API's `max_tokens` lets through. Its latency
is what those tokens would take the built-in model; that long it really waits only with `pace` 1.
"""

import asyncio
import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from producers.backends.base import Answer, CallPlace, Request
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
_LIST_CHAT = re.compile(r"numbered from (\d+) to (\d+)\.\Z")


@dataclass(frozen=True)
class LoadRates:
    """How often what happens.

    written       shares of what was asked for that a list holds: each as often as it stands here, when it is no chatter
    chatter       lists that are no list
    cut           answers to a list that break off
    stuck         lists that repeat one item to their end
    near_copy     items that differ from the one before in a word or two
    unsuitable    items with a word that the rules refuse
    short         items too short for the rules
    with_input    whole tasks that have an input
    output_words  words of an output, each as often as it stands here
    scores, without_score   of a judge's answers, each as often as it stands here; those that hold none. Nobody has
                  measured these
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
    without_score: float = 1 / 50
    output_words: tuple[int, ...] = (5, 8, 11, 15, 17, 22, 25, 29, 38, 48, 56)


@dataclass(frozen=True)
class _Asked:
    """What a request wants: items numbered from `first` on, `count` of them."""

    form: str
    first: int
    count: int


class LoadModel:
    """The backend. `pace` is the share of the latency that a call really waits; below 0 is a ConfigurationError."""

    def __init__(
        self, *, rng_seed: int = 0, pace: float = 0.0, rates: LoadRates | None = None, pool: Pool | None = None
    ):
        if pace < 0:
            raise ConfigurationError(f"The load model's pace is {pace}; it must be 0 (no waiting) or more.")
        self._rng_seed = rng_seed
        self._pace = pace
        self._rates = rates or LoadRates()
        self._pool = pool or Pool()

    @property
    def name(self) -> str:
        return MODEL_NAME

    @property
    def model(self) -> str:
        return MODEL_NAME

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        """The answer of this place to this request."""
        text = _text(request)
        draws = self._draws(text, place)
        asked = _asked(text, structured=request.json_schema is not None)
        if _JUDGE.search(text):
            raw, cut = self._judged(draws), False
        elif asked is None:
            raw, cut = self._output(draws), False
        else:
            raw, cut = self._list(asked, draws)
        most = request.sampling.max_tokens
        if most is not None and _tokens(raw) > most:
            raw, cut = raw[: int(most * CHARACTERS_A_TOKEN)], True
        usage = Usage(prompt_tokens=_tokens(text), completion_tokens=_tokens(raw))
        latency_s = usage.completion_tokens / TOKENS_A_SECOND
        if self._pace:
            await asyncio.sleep(latency_s * self._pace)
        return Answer(raw, "length" if cut else "stop", usage, MODEL_NAME, latency_s)

    async def close(self) -> None:
        """Nothing is open."""

    def _draws(self, text: str, place: CallPlace) -> random.Random:
        told = json.dumps([self._rng_seed, place.lane, place.number, place.step, text])
        return random.Random(int.from_bytes(hashlib.sha256(told.encode()).digest()))

    def _judged(self, draws: random.Random) -> str:
        """A score and why, or, now and then, only why."""
        why = self._output(draws)
        return why if draws.random() < self._rates.without_score else f"{_one_of(self._rates.scores, draws):g}\n{why}"

    def _list(self, asked: _Asked, draws: random.Random) -> tuple[str, bool]:
        """A list in the form asked for, and whether it breaks off."""
        rates = self._rates
        if draws.random() < rates.chatter:
            return " ".join(_one_of(CHATTER, draws) for _ in range(2)), False
        items = self._items(max(1, round(asked.count * _one_of(rates.written, draws))), draws)
        if asked.form == "list":
            raw = "\n".join(f"{number}. {item}" for number, item in enumerate(items, start=asked.first))
            raw = raw.removeprefix(f"{asked.first}.")
        else:
            tasks = [(item, self._input(draws), self._output(draws)) for item in items]
            raw = _json(tasks) if asked.form == "structured" else _labelled(tasks, asked)
        if draws.random() >= rates.cut:
            return raw, False
        # Inside the last item, so that what was written before it is whole.
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
            return _one_of(SHORT, draws)
        item = text_of(*self._pool.draw(draws))
        if at < self._rates.short + self._rates.unsuitable:
            return f"{item[:-1]} and add a {_one_of(UNSUITABLE, draws)}{item[-1]}"
        return item

    def _input(self, draws: random.Random) -> str:
        if draws.random() >= self._rates.with_input:
            return ""
        return f"The {_one_of(QUALITIES, draws)} {_one_of(THINGS, draws)} was seen {_one_of(PLACES, draws)}."

    def _output(self, draws: random.Random) -> str:
        words: list[str] = []
        wanted = _one_of(self._rates.output_words, draws)
        while len(words) < wanted:
            sentence = (
                f"A {_one_of(QUALITIES, draws)} {_one_of(THINGS, draws)} is often found {_one_of(PLACES, draws)}."
            )
            words += sentence.split()
        return " ".join(words)


def _near(item: str, draws: random.Random) -> str:
    """The item with two other words in it: about 0.83 in ROUGE-L F for one of usual length."""
    words = item.split()
    for place in (-2, -4):
        words[max(place, -len(words))] = _one_of(QUALITIES, draws)
    return " ".join(words)


def _text(request: Request) -> str:
    if request.prompt is not None:
        return request.prompt
    return "\n".join(message.content for message in request.messages)


def _asked(text: str, *, structured: bool) -> _Asked | None:
    """What list the request asks for, None for a question."""
    if structured and (found := _STRUCTURED.search(text)):
        return _Asked("structured", 1, int(found[1]))
    if found := _ALPACA_CHAT.search(text):
        return _Asked("chat", int(found[1]), int(found[2]) - int(found[1]) + 1)
    if found := _LIST_CHAT.search(text):
        return _Asked("list", int(found[1]), int(found[2]) - int(found[1]) + 1)
    if found := _LIST.search(text):
        return _Asked("list", int(found[2]), int(found[1]) - int(found[2]) + 1)
    total = _ALPACA_TOTAL.search(text)
    if total and (found := _ALPACA.search(text)):
        return _Asked("completion", int(found[1]), int(total[1]) - int(found[1]) + 1)
    return None


def _labelled(tasks: Sequence[tuple[str, str, str]], asked: _Asked) -> str:
    raw = "".join(
        f"###\n{number}. Instruction: {instruction}\n{number}. Input:\n{given or '<noinput>'}\n"
        f"{number}. Output:\n{output}\n"
        for number, (instruction, given, output) in enumerate(tasks, start=asked.first)
    )
    # A completion goes on from the label that the prompt ends with.
    return raw.removeprefix(f"###\n{asked.first}. Instruction:") if asked.form == "completion" else raw


def _json(tasks: Sequence[tuple[str, str, str]]) -> str:
    named = [{"instruction": instruction, "input": given, "output": output} for instruction, given, output in tasks]
    return json.dumps({"tasks": named}, indent=1)


def _tokens(text: str) -> int:
    return int(len(text) / CHARACTERS_A_TOKEN)


def _one_of(of: Sequence[T], draws: random.Random) -> T:
    return of[int(draws.random() * len(of))]
