"""Answers as models and servers give them: the same tasks in hundreds of layouts, with the expected result.

A layout is a label style, a separator, and a frame; each was seen in practice. `score` counts tasks that are parsed
correctly, lost, and invented or wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from schemas.events import Instruction

TASKS = (
    Instruction(instruction="Name three rivers that cross a border.", output="Rhine, Danube, Nile"),
    Instruction(instruction="Add the two numbers in the text.", input="four and nine", output="13"),
    Instruction(
        instruction="Write a function that doubles a number.", output="```python\ndef double(x):\n    return 2 * x\n```"
    ),
    Instruction(instruction="Plan a day in Rome.", output="1. Forum\n2. Lunch\n   - pasta\n3. Nap"),
    Instruction(
        instruction="Draft the notice.", input="flood\n\nroad closed", output="# Notice\n\nThe road is closed."
    ),
)
FIRST = 4
DRAFT = f"Let me draft.\n{FIRST}. Instruction: Will this do?\n{FIRST}. Input:\n{FIRST}. Output:\nNo."

Label = Callable[[int, str], str]

LABELS: dict[str, Label] = {
    "plain": lambda number, name: f"{number}. {name}:",
    "capitals": lambda number, name: f"{number}. {name.upper()}:",
    "bold": lambda number, name: f"**{number}. {name}:**",
    "bold name": lambda number, name: f"{number}. **{name}**:",
    "full-width colon": lambda number, name: f"{number}. {name}：",
    "escaped dot": lambda number, name: f"{number}\\. {name}:",
    "bracketed": lambda number, name: f"({number}) {name}:",
    "half bracket": lambda number, name: f"{number}) {name}:",
    "heading": lambda number, name: f"### {number}. {name}:",
    "ideographic comma": lambda number, name: f"{number}、{name}:",
    "number behind": lambda number, name: f"{name} {number}:",
    "heading, number behind": lambda number, name: f"#### {name} {number}:",
    "number once": lambda number, name: f"{number}. {name}:" if name == "Instruction" else f"{name}:",
    "number once, bold": lambda number, name: f"**{number}. {name}:**" if name == "Instruction" else f"**{name}:**",
    "number once, capitals": lambda n, name: f"{n}. {name.upper()}:" if name == "Instruction" else f"{name.upper()}:",
    "number on its own line": lambda n, name: f"**{n}.**\n{name}:" if name == "Instruction" else f"{name}:",
    "bulleted fields": lambda n, name: f"{n}. {name}:" if name == "Instruction" else f"- **{name}:**",
    "no number": lambda number, name: f"{name}:",
}
BETWEEN: dict[str, Callable[[int], str]] = {
    "separator": lambda number: "###\n",
    "blank line": lambda number: "\n",
    "rule": lambda number: "\n---\n\n",
    "stars": lambda number: "\n***\n\n",
    "spaced rule": lambda number: "\n- - -\n",
    "heading": lambda number: f"\n### Task {number}\n",
    "bold heading": lambda number: f"\n**Task {number}**\n",
    "separator and rule": lambda number: "###\n\n---\n",
}
AROUND: dict[str, Callable[[str], str]] = {
    "nothing": lambda text: text,
    "reasoning": lambda text: f"<think>\n{DRAFT}\n</think>\n\n{text}",
    "closing tag only": lambda text: f"{DRAFT}\n</think>\n{text}",
    "fence": lambda text: f"```\n{text}\n```",
    "end mark": lambda text: f"{text}<|im_end|>",
    "end of sequence": lambda text: f"\ufeff{text}</s>",
    "rule at the end": lambda text: f"{text}\n\n---\n",
    "remark": lambda text: f"{text}\n\nLet me know if you need more tasks!",
    "remark after a rule": lambda text: f"{text}\n\n---\n\nFeel free to ask for more instructions.",
}
NO_INPUTS = ("<noinput>", "None", "N/A", "`<noinput>`")


@dataclass(frozen=True)
class Form:
    """All tasks in one layout."""

    name: str
    text: str


def forms() -> Iterator[Form]:
    """Every label style with every separator, and with every frame."""
    named = [(label, "separator", around) for label, around in product(LABELS, AROUND)]
    named += [(label, between, "nothing") for label, between in product(LABELS, BETWEEN) if between != "separator"]
    for place, (label, between, around) in enumerate(named):
        none = NO_INPUTS[place % len(NO_INPUTS)]
        yield Form(f"{label}; {between}; {around}", AROUND[around](_listed(LABELS[label], BETWEEN[between], none)))


def _listed(label: Label, between: Callable[[int], str], none: str) -> str:
    parts = []
    for number, task in enumerate(TASKS, start=FIRST):
        parts.append(
            f"{between(number) if parts else ''}{label(number, 'Instruction')} {task.instruction}\n"
            f"{label(number, 'Input')}\n{task.input or none}\n{label(number, 'Output')}\n{task.output}\n"
        )
    return "".join(parts).rstrip("\n")


def score(read: tuple[Instruction, ...]) -> Counter[str]:
    """How many tasks were parsed correctly, how many were lost, and how many instructions are not among them."""
    right = Counter(TASKS) & Counter(read)
    return Counter(right=right.total(), lost=len(TASKS) - right.total(), invented=len(read) - right.total())
