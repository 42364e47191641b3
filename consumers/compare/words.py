"""The root verb of an instruction and its direct object, guessed without a parser.

The verb is the first word of a command, after politeness ("Please", "Can you") and after a clause that ends in a comma
("Given a list, sort it"). The object is the last word of the phrase after it, up to a preposition, a conjunction or
a mark: "Write a short story about a dog" is (write, story).

Limits: any word may be taken for the verb, so a title gives its first word. Questions, statements and commands in an
unusual word order have no verb. "Write a summary and a title" has one object, "make the text shorter" the object
"shorter". Forms of a word are counted apart. A constituency parser, as the paper's field uses it, gives other numbers;
numbers of this module compare with each other.
"""

import re

_PIECES = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*|[^\sA-Za-z]")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_POLITE = _set("please kindly now then next first finally also let's")
_ASKING = _set("can could would will")
_CLAUSE = _set(
    "given using based in for from with by on at to as after before when while if suppose assuming imagine having "
    "according following considering during without"
)
_NO_VERB = _set(
    "what how why which who whom whose when where is are was were am be do does did has have had should can could "
    "would will may might must shall the a an this that these those it its i you we they he she there my your our "
    "their his her and or but not no yes of one some any all each every"
)
_SKIPPED = _set(
    "a an the this that these those my your our their his her its some any all each every both few several many more "
    "another other one two three four five six seven eight nine ten me us him them up out down off away together "
    "given related"
)
_PREPOSITIONS = _set(
    "about of in on at for from with by to into onto over under between among through during against around as than "
    "without within using based towards toward via per like according"
)
_ENDS = _set(
    "and or but so that which who whom whose what how why when where whether if because while is are was were be has "
    "have had can could would will should may might must do does did not given related i you he she it we they"
)


def root(instruction: str) -> tuple[str, str | None] | None:
    """(verb, object) in lower case, the object None when none was found; None when there is no verb."""
    pieces = [piece.lower() for piece in _PIECES.findall(instruction)]
    at = _verb_at(pieces)
    if at is None:
        return None
    return pieces[at], _object(pieces[at + 1 :])


def _verb_at(pieces: list[str]) -> int | None:
    at = 0
    while at < len(pieces):
        word = pieces[at]
        if word in _POLITE:
            at += 1
        elif word in _ASKING and pieces[at + 1 : at + 2] == ["you"]:
            at += 2
        elif word in _CLAUSE and "," in pieces[at:]:
            at = pieces.index(",", at) + 1
        else:
            break
    if at >= len(pieces) or not pieces[at][0].isalpha() or pieces[at] in _NO_VERB | _CLAUSE:
        return None
    return at


def _object(pieces: list[str]) -> str | None:
    phrase: list[str] = []
    for piece in pieces:
        # "that", "given" and "related" may come before a noun or after it
        if piece in _ENDS and (phrase or piece not in _SKIPPED):
            break
        if piece in _SKIPPED or piece.isdigit():
            continue
        if not piece[0].isalpha() and piece not in "\"'“‘(":
            break
        if piece in _PREPOSITIONS:
            if phrase:
                break
        elif piece[0].isalpha():
            phrase.append(piece)
    return phrase[-1] if phrase else None
