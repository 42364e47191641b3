"""How much of a prompt is the same in all prompts of its kind: what an endpoint's prompt cache can reuse.

The prompts are those of the styles and judges in their default wording, about seeds of the project drawn at random.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files

from producers.backends.base import Request, Sampling
from producers.prompts import alpaca, candidates, judge, pair, rewrite, self_instruct, two_step
from schemas.events import Instruction, InstructionKept
from schemas.seeds import SeedTask, parse_seed_lines

PROMPTS = 300
"""Prompts of each kind that are built."""

_HEAD = f"""\
## Prompts and the endpoint's cache

An endpoint with a prompt cache charges less for the beginning that a prompt shares with an earlier one. So what never
changes comes first, where a style leaves the choice: requirements, examples and rubrics stand before seeds,
instructions and rows. Of {PROMPTS} prompts of each kind, about seeds drawn at random, in characters (four are about one
token of English):

"""

_TAIL = """
Two kinds keep a constant part at the end, by the wording that their logs were made with: the chat forms of lists, and
the rubrics of `pair` and `refusal`, where another order would make another judge. No beginning here reaches the 1,024
tokens that OpenAI's documentation names as the least it caches. It is the servers that cache small blocks, such as
vLLM and llama.cpp, that reuse them. `SEDI_PROMPT_CACHE_KEY` sends OpenAI's and Mistral's parameter `prompt_cache_key`
with each chat, which helps such endpoints to find a beginning again; by default it is not sent.
"""

_Build = Callable[[random.Random, Sequence[SeedTask]], Request]


def _row(task: SeedTask) -> InstructionKept:
    return InstructionKept(
        id=task.id,
        instruction=task.instruction,
        input=task.input,
        output=task.output,
        generation_id="",
        generated_offset=0,
        place=0,
        cluster=0,
        classifier_offset=0,
    )


def _texts(tasks: Iterable[SeedTask]) -> list[str]:
    return [task.instruction for task in tasks]


def _pair(rubric: pair.AnswerRubricName) -> _Build:
    def build(rng: random.Random, seeds: Sequence[SeedTask]) -> Request:
        asked, *others = rng.sample(seeds, 1 + pair.ANSWER_RUBRICS[rubric].shown)
        answers = [task.output for task in others]
        return pair.judging_request(
            pair.ANSWER_RUBRICS[rubric], asked.instruction, answers, completion=False, sampling=Sampling()
        )

    return build


_KINDS: Mapping[str, _Build] = {
    "alpaca, chat": lambda rng, seeds: alpaca.request(rng.sample(seeds, 3), "chat"),
    "alpaca, completion": lambda rng, seeds: alpaca.request(rng.sample(seeds, 3), "completion"),
    "alpaca, structured": lambda rng, seeds: alpaca.request(rng.sample(seeds, 3), "structured"),
    "two-step, list, completion": lambda rng, seeds: two_step.list_request(_texts(rng.sample(seeds, 3))),
    "two-step, list, chat": lambda rng, seeds: two_step.list_request(_texts(rng.sample(seeds, 3)), "chat"),
    "two-step, answer, chat": lambda rng, seeds: two_step.answer_request(rng.choice(seeds).instruction),
    "two-step, answer, completion": lambda rng, seeds: two_step.answer_request(
        rng.choice(seeds).instruction, "completion"
    ),
    "self-instruct, list, completion": lambda rng, seeds: self_instruct.bootstrap_request(
        _texts(rng.sample(seeds, 8)), "completion"
    ),
    "self-instruct, list, chat": lambda rng, seeds: self_instruct.bootstrap_request(
        _texts(rng.sample(seeds, 8)), "chat"
    ),
    "self-instruct, classification": lambda rng, seeds: self_instruct.classification_request(
        rng.choice(seeds).instruction, "chat"
    ),
    "self-instruct, instance": lambda rng, seeds: self_instruct.instance_request(
        rng.choice(seeds).instruction, False, "chat"
    ),
    "documents, candidate, chat": lambda rng, seeds: candidates.request(
        rng.choice(seeds).output, "chat", trained=False
    ),
    "documents, candidate, completion": lambda rng, seeds: candidates.request(
        rng.choice(seeds).output, "completion", trained=False
    ),
    "documents, rewriting": lambda rng, seeds: rewrite.rewrite_request(
        rng.choice(seeds).output, Instruction(instruction=rng.choice(seeds).instruction), "chat"
    ),
    "judge, accuracy": lambda rng, seeds: judge.request(
        _row(rng.choice(seeds)), judge.RUBRICS["accuracy"], completion=False, sampling=Sampling()
    ),
    "evaluation, pair": _pair("pair"),
    "evaluation, refusal": _pair("refusal"),
}


def prefix_section() -> Iterable[str]:
    """The section of the page about endpoints."""
    yield _HEAD.rstrip("\n") + "\n"
    yield "| prompt | mean length | same in all, at the beginning | share | same in all, at the end |"
    yield "| --- | --: | --: | --: | --: |"
    text = (files("producers") / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8")
    seeds = parse_seed_lines(text.split("\n"), "the project's seed tasks")
    for name, build in _KINDS.items():
        mean, start, end = measured(build, seeds)
        yield f"| {name} | {mean:,.0f} | {start:,} | {100 * start / mean:.0f} % | {end:,} |"
    yield _TAIL


def measured(build: _Build, seeds: Sequence[SeedTask]) -> tuple[float, int, int]:
    """Mean length of prompts of a kind, and the length of their common beginning and end, in characters."""
    rng = random.Random(1)
    texts = [_flat(build(rng, seeds)) for _ in range(PROMPTS)]
    start = _common(texts)
    end = _common([text[start:][::-1] for text in texts])
    return sum(map(len, texts)) / len(texts), start, end


def _common(texts: Sequence[str]) -> int:
    """The length of the beginning that all texts share: that of the first and the last in order."""
    first, last = min(texts), max(texts)
    return next((place for place, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first))


def _flat(request: Request) -> str:
    """The prompt as one text, the messages of a chat with their roles."""
    if request.prompt is not None:
        return request.prompt
    return "".join(f"{message.role}\n{message.content}\n" for message in request.messages)
