"""What in a text is fit for a segment, by form and a few lists of phrases.

Nothing here is sure: it keeps out what is seldom an answer to anything, and the filter's rules come after it.
"""

import re

OPENS = ("“", '"', "«", "「", "‘", "``")
"""What a quotation begins with."""

_CLOSERS = "\"'”’»)\\]*_"
_ENDS_WELL = re.compile(rf"[.!?…。！？؟।]\s?[{_CLOSERS}」』）]*(?:\s?\[\d{{1,3}}\])*$")
# Each alternative begins with a letter or mark of its own: the search then leaps from one such to the next.
_SPOILED = re.compile(
    r"<unk>|@[-.,]@|\{\{|\}\}|\[\[|\]\]|</?[a-z][a-z0-9]*[ />]|https?:|www\.|@\w+\.|\||\t| = |\.{4}|_{3}|\ufffd"
)
_JOINED = re.compile(  # a heading that lost its line break: "VenuesIn 1929"
    r"[a-z](?:A|An|The|In|On|At|As|By|After|During|From|For|With|While|When|He|She|It|They|His|Her|Its|This) "
)
_BOILERPLATE = re.compile(  # in lower case
    r"all rights reserved|copyright|©|project gutenberg|standard ebooks|creative commons"
    r"|licen[sc]ed? (?:under|agreement)"
    r"|terms (?:of (?:use|service)|and conditions)|privacy policy|cookie|public domain|isbn|click (?:here|on|the)"
    r"|subscribe|sign up|log ?in\b|newsletter|add to cart|read more|free shipping|powered by|this (?:web)?site"
    r"|retrieved (?:on )?\d|permission (?:of|from) the (?:author|publisher)|without warrant|javascript"
)
_FEW_LETTERS = 24  # of a text that may be mostly capitals
_DANGLING = re.compile(
    r"\W*(?:he|she|it|they|we|his|her|hers|its|their|theirs|him|them|this|that|these|those|such|both|here|there"
    r"|and|but|or|nor|so|yet|for|then|thus|hence|however|moreover|furthermore|therefore|also|besides|instead|meanwhile"
    r"|nevertheless|nonetheless|otherwise|consequently|accordingly|similarly|likewise|additionally|again|still|indeed"
    r"|although this|as a result|as such|in addition|in contrast|in this|in that|in these|in those|in such|in so"
    r"|in other words|in fact|at this|at that|for this|for that|for example|for instance|of these|of this|of course"
    r"|on the other hand|on the contrary|by this|by that|by contrast|from this|from these|to this|to these|after this"
    r"|after that|with this|with these|another|others|the latter|the former|the other|the same|this is|too|neither"
    r"|either|some of these|some of them|most of these|one of these|because of this|despite this|even so|finally"
    r"|secondly|thirdly|second|third|next|later|afterwards|subsequently|which|who|whose|whereas|while this)\b",
    re.IGNORECASE,
)


def ends_well(text: str) -> bool:
    """Whether it ends as a sentence does, with closing quotes, brackets or a reference."""
    return _ENDS_WELL.search(text, max(0, len(text) - 24)) is not None


def starts_well(text: str) -> bool:
    """Whether its first letter or digit begins a sentence: no lower case, where the script has cases."""
    for character in text[:24]:
        if character.isalnum():
            return not character.islower()
    return False


def dangles(text: str) -> bool:
    """Whether it begins with a word that points back: "He", "This", "However", "In addition"."""
    return _DANGLING.match(text) is not None


def is_clean(text: str) -> bool:
    """Whether it has no markup, address, table or boilerplate in it, is mostly letters, and these mostly small."""
    if _SPOILED.search(text) or _JOINED.search(text) or _BOILERPLATE.search(text.lower()):
        return False
    letters = sum(map(str.isalpha, text))
    capitals = sum(map(str.isupper, text))
    return letters * 10 >= 6 * (len(text) - text.count(" ")) and (capitals * 3 < letters or letters < _FEW_LETTERS)
