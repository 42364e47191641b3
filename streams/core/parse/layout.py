"""Normalises a list of labelled tasks to the plain form that `parse_strict` parses.

Two things are rewritten, line by line; the rest stays:

- A label at the start of a line: `INSTRUCTION:`, `**4. Instruction**:`, `(4) Input：`, `4\\. Output:` and
  `### Instruction 4:` become `4. Instruction:` and so on. Without a number, a label in lower case stays text:
  outputs have lines such as `input: 3`.
- Markup between two tasks, or after the last one: rules (`---`, `***`), headings that only number a task
  (`### Task 5`, `**5.**`), fences around tasks, and closing remarks about the tasks become one `###`. A fence that
  closes one of the task's own stays, as does a rule or heading within a text.

Not known here: whether a remark that does not mention tasks is still output.
"""

import re
from collections.abc import Sequence

from schemas.events import Unparsed

# In these patterns a run of blanks is possessive: where several may follow one another, a long one would otherwise be
# split between them in all ways before a line is given up.
_NUMBER = r"[(\[]?(?P<{0}>[0-9０-９]{{1,4}})(?:\\?[.:)\]、．。）]|\s?-)?[)\]]?"
# A colon right after a word, with no digit before that word: `\D*\w+\W*[:：]` without its many ways to match.
_TITLE = r"\W*+(?=\w)(?:[^\W\d]++[^\w:：]++)*+(?:\w++[^\w:：]*+)?[:：]"
_LABEL = re.compile(
    rf"^[ \t]*+(?:>[ \t]*+)*+(?:[-*•][ \t]++(?={_TITLE}))?(?:#{{1,6}}[ \t]*+)?[*_`]{{0,3}}"
    rf"(?:(?:task|example)[ \t]*+)?(?:{_NUMBER.format('before')}[ \t]*+)?[*_`\[(]{{0,3}}[ \t]*"
    r"(?P<name>instruction|input|output)s?[ \t]*(?:[#(]?(?P<after>[0-9]{1,4})\)?)?[*_`\])]{0,3}[ \t]?[:：﹕][*_`]{0,3}",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"^[ \t]*+(?:(?:-[ \t]*+){3,}+|(?:\*[ \t]*+){3,}+|(?:_[ \t]*+){3,}+|={3,}+|#{3,}+|—{2,}+|~{4,}+)[ \t]*+$"
)
_HEADING = re.compile(
    r"^[ \t]*+(?:#{1,6}[ \t]*+[*_]{0,3}(?:task|example|instruction|no\.?)?|[*_]{1,3}(?:task|example|instruction|no\.?)?"
    r"|(?:task|example|instruction))[ \t]*+"
    rf"{_NUMBER.format('number')}[*_]{{0,3}}[ \t]*+:?[ \t]*+[*_]{{0,3}}$",
    re.IGNORECASE,
)
_BARE_NUMBER = re.compile(r"^[ \t]*[(]?[0-9]{1,4}[.):][ \t]*$")
_FENCE = re.compile(r"^[ \t]*(?:```+|~~~+)[ \t]*(?P<info>[\w+-]*)[ \t]*$")
_REMARK = re.compile(
    r"^(?:let me know|feel free|please let|i hope|hope|would you like|do you want|here (?:are|were)|these are"
    r"|note that these|(?:that|this) concludes|i can (?:also )?(?:write|generate|provide|create))\b"
    r".*\b(?:tasks?|instructions?)\b[^.!?]*[.!?]*$",
    re.IGNORECASE | re.DOTALL,
)
_PLAIN = re.compile(r"[1-9][0-9]{0,3}\. (?:Instruction|Input|Output):(?![*_`])")
_START = re.compile(r"(?:[0-9]{1,4}\. )?Instruction:")
_SEPARATOR = "###"
_FIELD = re.compile(
    r"^(?P<label>[ \t]*+[#>*]*+[ \t]*+(?:input|output|class label|label)(?:[ \t]*[0-9]+)?\*{0,2}[ \t]?)[：﹕]",
    re.I | re.M,
)


def plain_layout(text: str) -> tuple[str, tuple[Unparsed, ...]]:
    """The text with plain labels and separators, and the closing remark, if any."""
    lines = [_plain_label(line) for line in text.splitlines()]
    removed: list[Unparsed] = []
    end = _without_remark(lines, removed)
    lines = lines[:end]
    made: list[str] = []
    begin, has_text = 0, False
    fenced = "```" in text or "~~~" in text
    for at in [*(at for at, line in enumerate(lines) if "Instruction:" in line and _START.match(line)), len(lines)]:
        if at < len(lines) and lines[at].startswith("Instruction") and at > begin and _BARE_NUMBER.match(lines[at - 1]):
            lines[at - 1] = ""
        task = _without_furniture(lines[begin:at], fenced=fenced, last=at == len(lines))
        made += task
        if at < len(lines):
            if has_text or any(line.strip() for line in task):
                made.append(_SEPARATOR)
            made.append(lines[at])
            has_text = True
        begin = at + 1
    return "\n".join(made), tuple(removed)


def plain_fields(text: str) -> str:
    """The text with plain colons after the labels of an instance (`streams.core.parse.self_instruct`)."""
    if "：" not in text and "﹕" not in text:
        return text
    return _FIELD.sub(lambda found: f"{found['label']}:", text)


def _plain_label(line: str) -> str:
    """The line with its label, if it begins with one, in the plain form."""
    if _PLAIN.match(line) or not (":" in line or "：" in line or "﹕" in line):
        return line
    match = _LABEL.match(line)
    if match is None:
        return line
    name = match["name"]
    number = match["before"] or match["after"]
    if number is None and name.islower():
        return line
    label = f"{name.capitalize()}:" if number is None else f"{int(number)}. {name.capitalize()}:"
    return label + line[match.end() :]


def _without_furniture(lines: list[str], *, fenced: bool, last: bool) -> list[str]:
    """The lines of a task without the markup after its end. `fenced`: there may be fences."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _is_furniture(lines[end - 1], last)):
        end -= 1
    if fenced and sum(_FENCE.match(line) is not None for line in lines[:end]) % 2:
        # A fence is open: the first one in the removed lines closes it; if none does, it encloses tasks.
        closing = next((at for at in range(end, len(lines)) if _FENCE.match(lines[at])), None)
        if closing is not None:
            return lines[: closing + 1]
    return lines[:end]


def _is_furniture(line: str, last: bool) -> bool:
    if _RULE.match(line):
        return True
    fence = _FENCE.match(line)
    if fence is not None:
        return not (last and fence["info"])
    return not last and _HEADING.match(line) is not None


def _without_remark(lines: Sequence[str], removed: list[Unparsed]) -> int:
    """The number of lines before a closing remark about the tasks, which is a paragraph of its own."""
    begin = end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    begin = end
    while (
        begin and lines[begin - 1].strip() and not _RULE.match(lines[begin - 1]) and not _FENCE.match(lines[begin - 1])
    ):
        begin -= 1
    text = "\n".join(lines[begin:end]).strip()
    if begin == 0 or len(text) > 300 or not _REMARK.match(text):
        return len(lines)
    removed.append(Unparsed(reason="closing_remark", text=text))
    return begin
