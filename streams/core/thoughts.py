"""The marks that models put around their reasoning: what opens a thought in a text, and whether one is still open.

Pure. `streams.core.parse.answer_text` reads answers with these and with the marks of models that speak in channels.
"""

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
"""What opens a thought and what closes it."""


def opened(text: str) -> tuple[str, str] | None:
    """The marks of a thought that the text leaves open."""
    return next((marks for marks in MARKS if text.rfind(marks[0]) > text.rfind(marks[1])), None)


def is_mark(text: str) -> bool:
    """Whether a text is what opens or closes a thought."""
    return any(text in marks for marks in MARKS)
