"""What a preview finds: generations with the filter's verdicts, decided in memory."""

import msgspec

from streams.core.call_sums import CallSums


class PreviewedInstruction(msgspec.Struct, frozen=True, kw_only=True):
    """One instruction and what would become of it.

    rejected     why the filter rejects it; None: it keeps it
    similarity   ROUGE-L F to the nearest instruction, of one rejected for it; `nearest` is that one's text
    cluster      of one that is kept
    answered     whether its input and output were asked for, with its list or after it was kept
    unused       why the answer of a kept one is not used; None: it is, or there is none
    """

    instruction: str
    input: str = ""
    output: str = ""
    rejected: str | None = None
    similarity: float | None = None
    nearest: str | None = None
    cluster: int | None = None
    answered: bool = False
    unused: str | None = None


class PreviewedGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """One generation.

    number         in the preview's lane
    refused        why the endpoint gave no answer to it; None: it gave one
    unparsed       parts of answers that no instruction could be read from
    requests       its own calls; in a run that answers all, those for the answers are among them
    answers        the calls for the answers to its kept instructions, where these are asked for afterwards
    answered       kept instructions that have such an answer, used or not
    """

    number: int
    seed_ids: tuple[str, ...]
    instructions: tuple[PreviewedInstruction, ...] = ()
    unparsed: int = 0
    refused: str | None = None
    requests: CallSums = CallSums()
    answers: CallSums = CallSums()
    answered: int = 0

    @property
    def kept(self) -> int:
        """Instructions that the filter keeps."""
        return sum(1 for each in self.instructions if each.rejected is None)
