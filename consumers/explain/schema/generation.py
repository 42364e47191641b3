"""A generation's story: the seeds it was shown, its requests, and their attempts."""

from typing import Literal

import msgspec

from consumers.explain.schema.place import RecordPlace
from schemas.events import Usage


class SeedShown(msgspec.Struct, frozen=True, kw_only=True):
    """A seed as a generation was shown it; texts are None when the run has no such seed.

    since   the command that put it in the pool, None for the run's start
    """

    id: str
    instruction: str | None
    input: str | None
    output: str | None
    since: RecordPlace | None


class KeptRowShown(msgspec.Struct, frozen=True, kw_only=True):
    """A kept instruction that a generation was shown beside its seeds; the text is None when it is not on `kept`."""

    id: str
    instruction: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a request.

    outcome        `none`: no outcome is on the log; an answer may have been paid for and lost
    perhaps_paid   it failed, and the endpoint does not say whether it took tokens
    """

    attempt: int
    outcome: Literal["answered", "failed", "none"]
    started: RecordPlace | None
    ended: RecordPlace | None
    error: str | None = None
    status: int | None = None
    model: str | None = None
    finish_reason: str | None = None
    latency_s: float | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    perhaps_paid: bool = False


class RequestStory(msgspec.Struct, frozen=True, kw_only=True):
    """The step-th LLM request of a generation, with its attempts in order."""

    request_id: str
    step: int
    attempts: tuple[Attempt, ...]


class SeedBrought(msgspec.Struct, frozen=True, kw_only=True):
    """What a seed had brought when it was chosen: instructions tried and kept of them, in so many generations."""

    id: str
    shown: int
    tried: int
    kept: int


class SteeringStory(msgspec.Struct, frozen=True, kw_only=True):
    """What of a generation's request followed the verdicts up to `as_of` of `generated`.

    seed_choice   how the seeds were chosen
    brought       what those shown had brought by then, in the order shown
    pool_tried, pool_kept   of all seeds of the pool together
    level         how far the yield had fallen by then, in steps from 0
    temperature, list_length   asked for; None: the style's own
    hints         kept instructions that the prompt asks not to repeat
    """

    as_of: int
    seed_choice: str
    brought: tuple[SeedBrought, ...]
    pool_tried: int
    pool_kept: int
    level: int
    temperature: float | None
    list_length: int | None
    hints: tuple[KeptRowShown, ...]


class GenerationStory(msgspec.Struct, frozen=True, kw_only=True):
    """How a generation was requested.

    parameters             as the generator recorded them
    seed_commands_offset   the pool it sampled: the last command the generator had read, -1 for none
    sampled_as_told        whether sampling that pool again gives these seeds
    kept_shown             kept instructions shown beside them, in styles that show some
    steering               what of the request followed what was kept before; None: nothing did
    classification         by place, whether the LLM called the instruction a classification task, where asked
    """

    id: str
    at: RecordPlace
    lane: str
    number: int
    style: str
    parser: str
    backend: str
    model: str
    parameters: dict[str, str | int | float | bool | None]
    seeds: tuple[SeedShown, ...]
    seed_commands_offset: int
    sampled_as_told: bool
    requests: tuple[RequestStory, ...]
    cost_usd: float | None
    instructions: int
    unparsed: dict[str, int]
    kept_shown: tuple[KeptRowShown, ...] = ()
    classification: dict[int, bool] = {}
    steering: SteeringStory | None = None
