"""What a lane about documents does."""

from dataclasses import dataclass, field

from producers.backends.base import Sampling
from producers.documents.scoring.options import ScorerOptions
from producers.documents.segments.options import CutOptions
from schemas.errors import ConfigurationError
from schemas.policy import Policy
from streams.core.parse.answers import MOST_CANDIDATES

CANDIDATES = 4


def default_cut() -> CutOptions:
    """Three strategies in equal shares."""
    return CutOptions({"random": 1.0, "salient": 1.0, "structural": 1.0})


@dataclass(frozen=True, kw_only=True)
class DocumentsInUse:
    """How documents become instructions.

    cut                how documents are cut into segments
    candidates         instructions that are asked for, for each segment
    scorer             the model under which segments are scored
    share              (first, of): this lane takes the first-th of each `of` documents, for several machines
    follow             when all documents are used, wait for further ones instead of ending
    rewrite            whether the model rewrites the segment into an answer to the chosen candidate
    safety             whether the safety prompt comes first
    sampling           parameters of the candidates that differ from their own
    rewrite_sampling   parameters of the rewrite that differ from its own
    """

    cut: CutOptions = field(default_factory=default_cut)
    candidates: int = CANDIDATES
    scorer: ScorerOptions = field(default_factory=ScorerOptions)
    share: tuple[int, int] = (1, 1)
    follow: bool = False
    rewrite: bool = False
    safety: bool = False
    sampling: Sampling | None = None
    rewrite_sampling: Sampling | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.candidates <= MOST_CANDIDATES:
            raise ConfigurationError(f"candidates is {self.candidates}; ask for 1 to {MOST_CANDIDATES} a segment.")
        first, of = self.share
        if not 1 <= first <= of:
            raise ConfigurationError(
                f"share is {first}/{of}; two machines take 1/2 and 2/2: the first number is from 1 to the second."
            )

    @property
    def recorded_lines(self) -> int:
        """Lines that a generation takes of a file of recorded answers: its steps but the scoring, whose line is only
        there, unused, where a rewrite follows it."""
        return self.candidates + 2 if self.rewrite else self.candidates

    def check(self, policy: Policy) -> None:
        """Raises ConfigurationError if the policy would reject all candidates of a strategy or of a place."""
        off = [name for name, share in self.cut.shares.items() if share and name not in policy.strategies]
        if off:
            raise ConfigurationError(
                f"The strategies {', '.join(off)} are not among those of the run's policy "
                f"({', '.join(policy.strategies)}): nothing from them would be kept. Take them out of --strategies."
            )
        if policy.candidates is not None and self.candidates > policy.candidates:
            raise ConfigurationError(
                f"candidates is {self.candidates}, and the run's policy considers {policy.candidates} of a segment: "
                f"the others would all be rejected. Use --candidates {policy.candidates} or fewer."
            )
