"""How the questions of each benchmark are asked: prompt and choices, as text.

The forms are those of lm-evaluation-harness 0.4.13, equal to the character: tasks `arc_easy`, `arc_challenge`,
`hellaswag` (without solved examples) and `mmlu` (five of the subject's dev questions, in their order, below a line
that names the subject). A choice follows its prompt after a space. A change of any character is another version.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LETTERS = "ABCDEFGHIJ"
_TAGS = re.compile(r"\[.*?\]")


@dataclass(frozen=True)
class SourceQuestion:
    """A question as its data hold it.

    context   the text before the choices: a question, or the beginning of a story
    gold      place of the right choice
    """

    id: str
    subject: str
    context: str
    choices: tuple[str, ...]
    gold: int


@dataclass(frozen=True)
class BenchmarkQuestion:
    """A question as it is asked.

    question   the prompt without solved examples
    prompt     the whole prompt; each choice follows it after a space
    source     what it was made of, with the solved `examples`
    """

    question: str
    prompt: str
    choices: tuple[str, ...]
    source: SourceQuestion
    examples: tuple[SourceQuestion, ...] = ()

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def group(self) -> str:
        return self.source.subject


@dataclass(frozen=True)
class BenchmarkTask:
    """A benchmark's form. `ask` gets a question and the solved examples of its subject."""

    name: str
    version: int
    shots: int
    ask: Callable[[SourceQuestion, Sequence[SourceQuestion]], BenchmarkQuestion]


def story_context(activity: str, first: str, second: str) -> str:
    """HellaSwag's context of its published fields: the label, the first sentence, the beginning of the second."""
    return without_tags(f"{activity}: {first} {second.capitalize()}")


def without_tags(text: str) -> str:
    """A HellaSwag text without the marks of the WikiHow articles it comes from."""
    return _TAGS.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def _arc(source: SourceQuestion, examples: Sequence[SourceQuestion]) -> BenchmarkQuestion:
    prompt = f"Question: {source.context}\nAnswer:"
    return BenchmarkQuestion(prompt, prompt, source.choices, source)


def _hellaswag(source: SourceQuestion, examples: Sequence[SourceQuestion]) -> BenchmarkQuestion:
    return BenchmarkQuestion(source.context, source.context, source.choices, source)


def _mmlu(source: SourceQuestion, examples: Sequence[SourceQuestion]) -> BenchmarkQuestion:
    subject = " ".join(source.subject.split("_"))
    header = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    solved = "".join(f"{_lettered(example)} {LETTERS[example.gold]}\n\n" for example in examples)
    question = _lettered(source)
    letters = tuple(LETTERS[: len(source.choices)])
    return BenchmarkQuestion(question, header + solved + question, letters, source, tuple(examples))


def _lettered(source: SourceQuestion) -> str:
    choices = "\n".join(f"{LETTERS[place]}. {choice}" for place, choice in enumerate(source.choices))
    return f"{source.context.strip()}\n{choices}\nAnswer:"


TASKS = {
    task.name: task
    for task in (
        BenchmarkTask("arc_easy", 1, 0, _arc),
        BenchmarkTask("arc_challenge", 1, 0, _arc),
        BenchmarkTask("hellaswag", 1, 0, _hellaswag),
        BenchmarkTask("mmlu", 1, 5, _mmlu),
    )
}
"""The tasks by name, in the order they are measured in."""
