"""Scores in a judge's answer about other answers: one score for each, on one scale, and then the reason. Pure.

A judge is asked for nothing but the scores on its first line, and many write something else. So read is

    JSON           an object whose keys name the answers, or whose `scores` is a list
    score lines    lines that hold nothing but scores, names of the answers (`Assistant 1:`, `B:`, `the first answer`)
                   and a few words (`Score`, `out of`, `and`), wherever they begin; the first ones count
    a first line   that begins with the scores, set off from what follows

All else has no scores, and neither have fewer or more of them than answers, names that do not fit, a score off the
scale, and a score that may have been cut off. `streams.core.parse.answers` gives the version.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from schemas.events import CallAnswered, Scale
from streams.core.parse.answer_text import read_text

PAIR_SCALE = Scale(least=1.0, most=10.0, step=0.1)
"""Of two answers, compared."""

REFUSAL_SCALE = Scale(least=0.0, most=1.0, step=1.0)
"""Of one answer: whether it refuses."""

_KIND = r"(?:assistant|answer|response|model|candidate|chatbot|ai)"
_TOKEN = re.compile(
    rf"""
    (?P<label>\b{_KIND}(?:'s)?\s*(?:(?:no\.?|number|\#)\s*)?\(?(?P<id>[12ab])\b\)?(?:'s\b)?
     |\b(?P<place>first|second)\b(?:\s+(?:one|{_KIND}))?(?:'s\b)?
     |\b(?:scores?|ratings?)\s*\#?(?P<scored>[12ab])["']?\s*[:=]
     |(?<![\d.])\b(?P<alone>[12ab])["']?\s*[:=)](?!\d))
    |(?P<score>(?:(?<![\w\s)\]])(?:^|(?<=[\s:=(\[]))-)?\d+(?:\.\d+)?)(?!\w)(?:\s*(?:/|out\s+of|of)\s*(?P<of>\d+)(?![\w.]\d))?
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)
    |(?P<mark>[\s,;:|/&()\[\]<>="'.+~–—-]+)
    |(?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_WORDS = frozenset(
    "score scores scored rating ratings overall final total points point mark marks grade grades result results "
    "verdict and for of to out the is are as with vs versus i give gives given would assign award rate my here "
    "gets get receives receive respectively assistant assistants answer answers response responses both two".split()
)
_PREFIX = re.compile(
    r"(?P<scores>\d+(?:\.\d+)?(?:\s*/\s*\d+)?(?:\s*[,;&|]\s*|\s+and\s+|\s+)\d+(?:\.\d+)?(?:\s*/\s*\d+)?)"
    r"\s*(?:[-–—:;(]|[.,](?=\s))\s*(?P<reason>\S.*)",
    re.DOTALL,
)
# The name of an answer in a key: `1`, `score_1`, `assistant1`, `answer_a`, `first`, `answer_1_score`.
_FIRST_KEY, _SECOND_KEY = (
    re.compile(rf"(?:^|[^a-z0-9])(?:{digit}|{letter}|{word})(?:$|[^a-z0-9])|[a-z]{digit}(?:$|[^a-z0-9])")
    for digit, letter, word in (("1", "a", "first"), ("2", "b", "second"))
)
_ONE_KEYS = ("score", "rating", "refusal", "refuses", "refused", "value")
_LIST_KEYS = ("scores", "ratings")
_REASON_KEYS = ("reason", "reasons", "explanation", "rationale", "justification", "why", "comment")
_FENCE = re.compile(r"\A```\w*\n(.*?)\n?```\s*\Z", re.DOTALL)


class ReadScores(NamedTuple):
    """The scores in the order of the answers, and the reason; or None, and why there are none."""

    values: tuple[float, ...] | None
    reason: str


class _Found(NamedTuple):
    """Scores as written: each with what it is said to be out of. `rest`: the reason; `last`: nothing follows them."""

    scores: tuple[tuple[float, float | None], ...]
    rest: str
    last: bool = False


def scores_of(answer: CallAnswered, scale: Scale, count: int, *, reading: int) -> ReadScores:
    """The scores in an answer of a judge, of `count` answers, with a version of the parser."""
    seen, cut = read_text(answer, reading)
    return read_scores(seen.text, scale, count, cut=cut)


def read_scores(raw: str, scale: Scale, count: int, *, cut: bool = False) -> ReadScores:
    """The scores in a text; `cut`: it was truncated."""
    found: _Found | str
    text = raw.strip()
    if not text:
        return ReadScores(None, "the answer is empty")
    fenced = _FENCE.match(text)
    bare = text if fenced is None else fenced[1].strip()
    if bare.startswith("{"):
        found = _json(bare, count) or "the answer is JSON without a score for each"
    else:
        found = _lines(text, count)
        if isinstance(found, str) and "{" in text:
            found = _json(text, count) or found
    if isinstance(found, str):
        return ReadScores(None, found)
    if cut and found.last:
        return ReadScores(None, "the answer was cut off at its scores")
    for value, of in found.scores:
        if not _on(scale, value) or (of is not None and of != scale.most):
            written = f"{value:g}" if of is None else f"{value:g} of {of:g}"
            return ReadScores(None, f"{written} is not on the scale of {scale.least:g} to {scale.most:g}")
    return ReadScores(tuple(value for value, _ in found.scores), found.rest)


def _on(scale: Scale, value: float) -> bool:
    if not scale.least <= value <= scale.most:
        return False
    steps = (value - scale.least) / scale.step  # infinite for a tiny step: then no score is on the scale
    return math.isfinite(steps) and math.isclose(steps, round(steps), abs_tol=1e-6)


def _lines(text: str, count: int) -> "_Found | str":
    """The scores of the first score lines, or why there are none."""
    lines = text.split("\n")
    prefixed = _PREFIX.fullmatch(_plain(lines[0]).strip()) if count == 2 else None
    if prefixed is not None and not isinstance(named := _named(_tokens(prefixed["scores"]) or [], count), str):
        rest = "\n".join([prefixed["reason"], *lines[1:]]).strip()
        return _Found(named, rest, last=False)
    run: list[tuple[str, float, float | None]] = []
    begun = scores = 0
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        tokens = _tokens(_plain(line))
        if tokens is None:
            if scores:
                break
            run, begun = [], number + 1
            continue
        run += tokens
        scores += sum(kind == "score" for kind, _, _ in tokens)
        if scores >= count:
            named = _named(run, count)
            if isinstance(named, str):
                return named
            after = "\n".join(lines[number + 1 :]).strip()
            return _Found(named, after or "\n".join(lines[:begun]).strip(), last=not after)
    return _named(run, count) if scores else "the answer holds no line of scores"  # type: ignore[return-value]


def _plain(line: str) -> str:
    """A line in lower case, without emphasis, and with ASCII digits and signs for their wide forms."""
    return re.sub(
        r"[*`#]+|_+", lambda found: " " if "_" in found[0] else "", unicodedata.normalize("NFKC", line)
    ).casefold()


def _tokens(line: str) -> list[tuple[str, float, float | None]] | None:
    """The names (as `first`, `second`) and scores of a score line; None for another line."""
    found: list[tuple[str, float, float | None]] = []
    for token in _TOKEN.finditer(line):
        if token["label"]:
            id = token["id"] or token["place"] or token["scored"] or token["alone"]
            found.append(("first" if id in ("1", "a", "first") else "second", 0.0, None))
        elif token["score"]:
            found.append(("score", float(token["score"]), float(token["of"]) if token["of"] else None))
        elif token["other"] or (token["word"] and token["word"] not in _WORDS):
            return None
    return found


def _named(
    tokens: Sequence[tuple[str, float, float | None]], count: int
) -> "tuple[tuple[float, float | None], ...] | str":
    """The scores in the order of the answers, by the names beside them; or why they are not clear."""
    scores = [(value, of) for kind, value, of in tokens if kind == "score"]
    names = [kind for kind, _, _ in tokens if kind != "score"]
    if len(scores) < count:
        return "a score is missing"
    if len(scores) > count:
        return f"there are {len(scores)} scores for {count} answers"
    if not names or count == 1:
        return tuple(scores)
    kinds = ["score" if kind == "score" else "name" for kind, _, _ in tokens]
    if kinds not in (["name", "score"] * count, ["score", "name"] * count) or len(set(names)) != count:
        return "it is not clear which score is whose"
    return tuple(score for _, score in sorted(zip(names, scores, strict=True)))


def _json(text: str, count: int) -> "_Found | None":
    """The scores of the JSON object in a text."""
    start, end = text.find("{"), text.rfind("}")
    try:
        found = msgspec.json.decode(text[start : end + 1])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    if not isinstance(found, dict):
        return None
    fields = {str(key).strip().casefold(): value for key, value in found.items()}
    scores = _json_scores(fields, count)
    if scores is None:
        return None
    reason = next((fields[key] for key in _REASON_KEYS if isinstance(fields.get(key), str)), "")
    return _Found(tuple((score, None) for score in scores), reason.strip() or text[end + 1 :].strip(" \n`"))


def _json_scores(fields: Mapping[str, Any], count: int) -> list[float] | None:
    if count == 1:
        values = [fields[key] for key in _ONE_KEYS if key in fields]
    elif isinstance(listed := next((fields[key] for key in _LIST_KEYS if key in fields), None), list):
        values = listed
    else:
        inner = listed if isinstance(listed, dict) else fields
        named = [
            [value for key, value in inner.items() if names.search(str(key).casefold()) and _number(value) is not None]
            for names in (_FIRST_KEY, _SECOND_KEY)
        ]
        values = [each[0] for each in named if len(each) == 1]
    numbers = [number for value in values if (number := _number(value)) is not None]
    return numbers if len(numbers) == len(values) == count else None


def _number(value: Any) -> float | None:
    """The score that a value of JSON is: a number, a text that is one, or an object with one."""
    if isinstance(value, dict):
        return next((_number(value[key]) for key in ("score", "rating") if key in value), None)
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,3}(?:\.\d{1,3})?\s*", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
