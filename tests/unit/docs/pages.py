"""The project's pages, as the tests of them read them: links, headings, code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"

FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^(?: {4}|\t).*\n?)+", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def pages() -> list[Path]:
    """Every page that people read: those of the top folder, and all of docs/."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return top + sorted(DOCS.rglob("*.md"))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def links(text: str) -> list[str]:
    """The targets of a page's links and pictures, those in code left out."""
    return LINK.findall(INLINE.sub("", FENCE.sub("", text)))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs both make them of plain headings."""
    found = (re.sub(r"[^\w\- ]", "", heading.replace("`", "")) for heading in HEADING.findall(FENCE.sub("", text)))
    return {heading.strip().lower().replace(" ", "-") for heading in found}


def inline_code(text: str) -> list[str]:
    """What stands in backticks in a page's prose and tables, line breaks made spaces."""
    return [code.replace("\n", " ") for code in INLINE.findall(FENCE.sub("", text))]


def command_lines(text: str) -> list[str]:
    """The lines of a page's code, in fences, indented or in backticks; a line that goes on with a backslash is one."""
    fenced = [match.group(0) for match in FENCE.finditer(text)]
    indented = [match.group(0) for match in INDENTED.finditer(FENCE.sub("", text))]
    blocks = "\n".join(fenced + indented).replace("\\\n", " ")
    return [line.strip() for line in blocks.splitlines()] + inline_code(text)


def prose(text: str) -> str:
    """A page without its code."""
    return INLINE.sub("", INDENTED.sub("", FENCE.sub("", text)))
