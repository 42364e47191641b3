"""Tokenised text as corpora of language modelling have it, put back into the form that people write.

WikiText's marks are ` @-@ `, ` @,@ ` and ` @.@ ` within words and numbers, headings between ` = `, one paragraph a line
with a space at both ends, and a space around each punctuation mark. The Penn Treebank's quotes are two grave accents
and two apostrophes. A text without these marks is left as it is. `<unk>` stands for words that are lost, and stays.
"""

import re

# The marks at the end are tried where they begin, and only there: else the time would grow with the line's square.
_HEADING = re.compile(r"^ ?((?:= )++)(\S.*?)(?<! =)(?: =)++ ?$", re.MULTILINE)
_JOINED = re.compile(r" @([-,.])@ ")
_QUOTED = re.compile(r'(?<!\S)" ([^"\n]*?) "(?!\w)')
_APOSTROPHE = re.compile(r" (n't|'(?:s|m|d|re|ve|ll)|')(?= |$)", re.MULTILINE)
_BEFORE = re.compile(r" ([,.;:!?%)\]}])(?=[\s\"')\]},.;:]|$)")
_AFTER = re.compile(r"(?<![^\s\"'(\[{])([(\[{$£€]) ")
_TREEBANK = re.compile(r"``\s?([^`\n]*?)\s?''")


def detokenised(text: str) -> str:
    """The text, with the marks of its tokeniser taken out, if it has any."""
    if "``" in text:
        text = _TREEBANK.sub(r"“\1”", text)
    if not (" @" in text and _JOINED.search(text)) and not ("= " in text and _HEADING.search(text)):
        return text
    text = _HEADING.sub(lambda found: f"\n{'#' * (len(found[1]) // 2)} {found[2]}\n", text)
    text = _AFTER.sub(r"\1", _APOSTROPHE.sub(r"\1", _QUOTED.sub(r'"\1"', _JOINED.sub(r"\1", text))))
    return "\n\n".join(line.strip() for line in _BEFORE.sub(r"\1", text).split("\n") if line.strip())
