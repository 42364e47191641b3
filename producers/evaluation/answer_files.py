"""Answers that were given elsewhere, read from a file and joined with a set of prompts.

Any form with a prompt and an answer will do: Self-Instruct's predictions (instruction, input, response), AlpacaEval's
outputs (instruction, output, generator), this program's own export. Rows are joined by the text of the prompt with its
input, white space aside, since files number their rows in different ways. Where prompts of a set have the same text,
they take their answers in order.
"""

from collections import defaultdict
from pathlib import Path

from infra.columns import named
from infra.tables import read_tasks
from producers.evaluation.prompt_sets import EvaluationPrompt
from schemas.errors import ConfigurationError


class AnswerFile:
    """The answers of a file, by prompt.

    Raises ConfigurationError for a file that cannot be read, a row without a prompt, or no answer in any row.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._answers: dict[str, list[str]] = defaultdict(list)
        rows = read_tasks(path)
        if not any(row.answered for row in rows):
            raise ConfigurationError(
                f"No row of {path} has an answer. Fields of the first: {named(rows[0].fields)}. Give rows with "
                "`output`, `response`, `completion` or `answer`."
            )
        for row in rows:
            self._answers[_key(row.task.instruction, row.task.input)].append(row.task.output)

    def answers(self, prompts: tuple[EvaluationPrompt, ...]) -> tuple[str | None, ...]:
        """The answer to each prompt; None: the file has none.

        Raises ConfigurationError when it has none to any.
        """
        taken: dict[str, int] = defaultdict(int)
        found: list[str | None] = []
        for prompt in prompts:
            key = _key(prompt.instruction, prompt.input)
            texts = self._answers.get(key, [])
            found.append(texts[min(taken[key], len(texts) - 1)] if texts else None)
            taken[key] += 1
        if prompts and not any(text is not None for text in found):
            raise ConfigurationError(
                f"{self.path} has an answer to none of the {len(prompts)} prompts. Give the answers to this set; they "
                "are found by the text of `instruction` and `input`."
            )
        return tuple(found)


def _key(instruction: str, input: str) -> str:
    """Prompt and input as one text, white space aside; some files keep them apart and others do not."""
    return " ".join(f"{instruction} {input}".split())
