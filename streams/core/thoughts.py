"""The tags around a model's reasoning, and whether a text leaves one open. Pure."""

MARKS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<thoughts>", "</thoughts>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("<scratchpad>", "</scratchpad>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<unused94>", "<unused95>"),
)
"""The opening and closing tag of a thought, by model family."""


def opened(text: str) -> tuple[str, str] | None:
    """The tags of a thought that the text leaves open."""
    return next((marks for marks in MARKS if text.rfind(marks[0]) > text.rfind(marks[1])), None)


def is_mark(text: str) -> bool:
    """Whether a text is a tag that opens or closes a thought."""
    return any(text in marks for marks in MARKS)
