r"""Tokenizes untrusted text: the name of a special token in it stays text and does not become the token.

A row about chat formats may hold `<|im_end|>` or `</s>`. Tokenized as it is, its answer would end there, or another
turn begin. So before a text is put into a template, `hide` replaces each such name by a placeholder, a private-use
character. The template then adds its own special tokens, and `token_ids` tokenizes the text between placeholders as
usual and each name as plain text. A text without such names has the tokens it always had.

`plain_ids` does this for a text without a template. In the other direction `decoded` leaves out special tokens, except
those that begin or end a thought, since a reader must see where it is.

Added tokens that are not special, such as `<think>` of some tokenizers, stay tokens.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any

from streams.core.thoughts import is_mark

_FIRST = 0x10F000  # the first name's placeholder; in the last private plane, which no font and no text uses
_MOST = 0xF00
_ESCAPE = "\U0010fffd"  # before a private-use character of the text itself
_PLACEHOLDER = re.compile(f"{_ESCAPE}.|[{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}]", re.DOTALL)
_PRIVATE = re.compile(f"[{chr(_FIRST)}-{_ESCAPE}]")

_tokenizing = Lock()  # `split_special_tokens` changes the tokenizer's state, and two threads tokenize rows


def hide(tokenizer: Any, text: str) -> str:
    """The text with placeholders for the names of the tokenizer's special tokens."""
    text = _PRIVATE.sub(lambda found: _ESCAPE + found[0], text)
    names = _names(tokenizer)
    if not any(name in text for name in names):
        return text
    placeholders = {name: chr(_FIRST + number) for number, name in enumerate(names)}
    return re.sub("|".join(map(re.escape, names)), lambda found: placeholders[found[0]], text)


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text with placeholders, which become plain text. Adds no tokens of its own."""
    with _tokenizing:
        ids: list[int] = []
        at = 0
        for found in _PLACEHOLDER.finditer(text):
            ids += _ids(tokenizer, text[at : found.start()])
            ids += _name_ids(tokenizer, _resolve(tokenizer, found[0]))
            at = found.end()
        return ids + _ids(tokenizer, text[at:])


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text without a template, between those that the tokenizer adds around any text."""
    bare, around = (list(tokenizer("a", add_special_tokens=added)["input_ids"]) for added in (False, True))
    at = next(place for place in range(len(around)) if around[place : place + len(bare)] == bare)
    return [*around[:at], *token_ids(tokenizer, hide(tokenizer, text)), *around[at + len(bare) :]]


def decoded(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The text of the tokens without special ones, except those that begin or end a thought."""
    hidden = _hidden_tokens(tokenizer)
    shown = [token for token in tokens if token not in hidden]
    text: str = tokenizer.decode(shown, clean_up_tokenization_spaces=False)
    return text


def _resolve(tokenizer: Any, placeholder: str) -> str:
    return placeholder[1] if placeholder[0] == _ESCAPE else _names(tokenizer)[ord(placeholder) - _FIRST]


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def _name_ids(tokenizer: Any, name: str) -> list[int]:
    ids = list(tokenizer(name, add_special_tokens=False, split_special_tokens=True)["input_ids"])
    if not {*ids} & {*tokenizer.all_special_ids, *_special(tokenizer)}:
        return ids
    return _ids(tokenizer, name[:1]) + _ids(tokenizer, name[1:])  # a tokenizer that ignores the option


@lru_cache(maxsize=8)
def _names(tokenizer: Any) -> tuple[str, ...]:
    """Names of the special tokens, the longest first, so that a name is not found at the beginning of a longer one."""
    names = {*_special(tokenizer).values(), *tokenizer.all_special_tokens}
    return tuple(sorted(filter(None, names), key=lambda name: (-len(name), name)))[:_MOST]


@lru_cache(maxsize=8)
def _special(tokenizer: Any) -> dict[int, str]:
    return {id: str(token.content) for id, token in tokenizer.added_tokens_decoder.items() if token.special}


@lru_cache(maxsize=8)
def _hidden_tokens(tokenizer: Any) -> frozenset[int]:
    marks = {id for id, name in _special(tokenizer).items() if is_mark(name)}
    return frozenset({*_special(tokenizer), *tokenizer.all_special_ids} - marks)
