"""Everything that `sedi explain` shows of one id."""

from typing import Any

import msgspec

from consumers.explain.locate import Kind
from consumers.explain.schema.document import DocumentStory, SegmentStory
from consumers.explain.schema.evaluation import AnswersJudgedStory, ModelStory, PromptAnswerStory, QuestionStory
from consumers.explain.schema.generation import GenerationStory, RequestStory
from consumers.explain.schema.instruction import InstructionStory, InstructionSummary
from consumers.explain.schema.seed import SeedStory


class RequestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The story of a generation or a request.

    step         of the request that is the subject, None for a generation
    generation   None when it is not (yet) on `generated`: then only its calls are known
    segment      that it is about; None: its instructions come from seeds
    preview      whether it was asked for by a preview: then it is on `calls` alone
    """

    generation_id: str
    step: int | None
    generation: GenerationStory | None
    requests: tuple[RequestStory, ...]
    instructions: tuple[InstructionSummary, ...]
    segment: SegmentStory | None = None
    preview: bool = False


class PromptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a chat, or the whole prompt of a completion (`role` is None)."""

    role: str | None
    content: str


class RebuiltPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """The prompt of a request. It is not on the log but rebuilt from style, parameters and seeds.

    messages   None, with the `reason`, when it cannot be rebuilt faithfully
    by         what rebuilt it
    """

    step: int
    messages: tuple[PromptMessage, ...] | None
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    reason: str | None = None
    by: str = "rebuilt by this program version"


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the log about one id; a promoted seed has two stories, everything else has one.

    answer_prompts   of the requests for the answer to a kept instruction, in a run that answers these alone
    """

    run: str
    id: str
    kinds: tuple[Kind, ...]
    instruction: InstructionStory | None = None
    seed: SeedStory | None = None
    made: RequestOutcome | None = None
    prompts: tuple[RebuiltPrompt, ...] = ()
    answer_prompts: tuple[RebuiltPrompt, ...] = ()
    question: QuestionStory | None = None
    answer: PromptAnswerStory | None = None
    judgement: AnswersJudgedStory | None = None
    model: ModelStory | None = None
    document: DocumentStory | None = None
