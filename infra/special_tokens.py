r"""Texts that other people wrote, as tokens: the name of a special token in them is text, not the token.

A row about chat formats may hold `<|im_end|>` or `</s>`. Tokenised as it is, its answer would end there, or a turn of
somebody else begin. So before a text is put into a template, `hide` puts a stand-in (a private character) in the
place of each name; the template adds its own marks; `token_ids` tokenises what stands between the stand-ins as ever,
with the template's marks as tokens, and each name as plain text. A text without such names has the tokens it always
had.

`plain_ids` does all that for a text that is continued without a template. On the way back `decoded` leaves special
tokens out, except those that begin or end a thought: whoever reads the answer must see where that is.

Added tokens that are not special, such as `<think>` of some tokenizers, are text that has a token: they stay tokens.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

from streams.core.thoughts import is_mark

_FIRST = 0x10F000  # the stand-in of the first name; in the last private plane, which no font and no text uses
_MOST = 0xF00
_ESCAPE = "\U0010fffd"  # stands before a private character that was in the text itself
_STAND_IN = re.compile(f"{_ESCAPE}.|[{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}]", re.DOTALL)
_PRIVATE = re.compile(f"[{chr(_FIRST)}-{_ESCAPE}]")

_tokenizing = Lock()  # whether names are tokens is a state of the tokenizer, and rows are tokenised in two threads


def hide(tokenizer: Any, text: str) -> str:
    """The text with stand-ins for the names of the tokenizer's special tokens."""
    text = _PRIVATE.sub(lambda found: _ESCAPE + found[0], text)
    names = _names(tokenizer)
    if not any(name in text for name in names):
        return text
    place = {name: chr(_FIRST + number) for number, name in enumerate(names)}
    return re.sub("|".join(map(re.escape, names)), lambda found: place[found[0]], text)


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text whose stand-ins are plain text. Adds no tokens of its own."""
    with _tokenizing:
        ids: list[int] = []
        at = 0
        for found in _STAND_IN.finditer(text):
            ids += _of(tokenizer, text[at : found.start()])
            ids += _plain(tokenizer, _meant(tokenizer, found[0]))
            at = found.end()
        return ids + _of(tokenizer, text[at:])


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text that stands in no template, between those that the tokenizer puts around any text."""
    bare, around = (list(tokenizer("a", add_special_tokens=added)["input_ids"]) for added in (False, True))
    at = next(place for place in range(len(around)) if around[place : place + len(bare)] == bare)
    return [*around[:at], *token_ids(tokenizer, hide(tokenizer, text)), *around[at + len(bare) :]]


def decoded(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The text of tokens without special ones, except those that begin or end a thought."""
    left_out = _left_out(tokenizer)
    shown = [token for token in tokens if token not in left_out]
    text: str = tokenizer.decode(shown, clean_up_tokenization_spaces=False)
    return text


def _meant(tokenizer: Any, stand_in: str) -> str:
    return stand_in[1] if stand_in[0] == _ESCAPE else _names(tokenizer)[ord(stand_in) - _FIRST]


def _of(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def _plain(tokenizer: Any, name: str) -> list[int]:
    ids = list(tokenizer(name, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    if not {*ids} & {*tokenizer.all_special_ids, *_special(tokenizer)}:
        return ids
    return _of(tokenizer, name[:1]) + _of(tokenizer, name[1:])  # a tokenizer that does not know the option


@lru_cache(maxsize=8)
def _names(tokenizer: Any) -> tuple[str, ...]:
    """Names of the special tokens, the longest first, so that one which begins another is not found in it."""
    names = {*_special(tokenizer).values(), *tokenizer.all_special_tokens}
    return tuple(sorted(filter(None, names), key=lambda name: (-len(name), name)))[:_MOST]


@lru_cache(maxsize=8)
def _special(tokenizer: Any) -> dict[int, str]:
    return {id: str(token.content) for id, token in tokenizer.added_tokens_decoder.items() if token.special}


@lru_cache(maxsize=8)
def _left_out(tokenizer: Any) -> frozenset[int]:
    marks = {id for id, name in _special(tokenizer).items() if is_mark(name)}
    return frozenset({*_special(tokenizer), *tokenizer.all_special_ids} - marks)
