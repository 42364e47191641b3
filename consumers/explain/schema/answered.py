"""The story of a kept instruction's answer, in a run that answers kept instructions alone."""

import msgspec

from consumers.explain.schema.generation import RequestStory
from consumers.explain.schema.place import RecordPlace


class RowAnswerStory(msgspec.Struct, frozen=True, kw_only=True):
    """How a kept instruction got its input and output.

    at               None: the answer is not (yet) on `answered`; then only its requests are known
    style            empty: nothing was asked, because the row had its output when it was kept
    reason           why the row is not used; None: it is, or waits for its answer
    agrees           whether reading the raw answers again gives this input, output and reason; None without an answer
    classification   whether the LLM called it a classification task; None where it was not asked
    raws             raw answers in the order asked
    released_at      the release of the row, and the offset of `generated` from which on candidates are not compared
    released_from    with it; None: they are
    """

    id: str
    at: RecordPlace | None
    style: str = ""
    backend: str = ""
    model: str = ""
    parameters: dict[str, str | int | float | bool | None] = {}
    input: str = ""
    output: str = ""
    reason: str | None = None
    agrees: bool | None = None
    classification: bool | None = None
    raws: tuple[str, ...] = ()
    unparsed: dict[str, int] = {}
    requests: tuple[RequestStory, ...] = ()
    cost_usd: float | None = None
    released_at: RecordPlace | None = None
    released_from: int | None = None
