"""How long a text is, in words, on every script alike."""

import re

_NO_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana and Chinese characters
_WORD = re.compile(r"[^\W_]\S*")
_LONGEST = 16  # characters a word on average, beyond which a text is no text in words


def count_words(text: str) -> int:
    """The pieces between white space that have a letter or digit; each kana or Chinese character is a word.

    Scripts that write no spaces, and text that is none, count one word for each 16 characters: no text is long and few
    words at once.
    """
    spaced, characters = _NO_SPACES.subn(" ", text)
    return max(characters + len(_WORD.findall(spaced)), len(text) // _LONGEST)
