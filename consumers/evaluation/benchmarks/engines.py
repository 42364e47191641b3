"""What computes log-likelihoods: our own engine, or lm-evaluation-harness on the same loaded model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from consumers.evaluation.benchmarks.data import AnyQuestion, BenchmarkData
from consumers.evaluation.benchmarks.encoding import Prompted, prompted
from infra.models.device import Device
from infra.models.likelihood.engine import LikelihoodEngine
from infra.models.precision import Precision
from infra.models.templates import Template, choose_template

EngineName = Literal["direct", "lm-eval"]


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """How log-likelihoods are computed.

    precision      None: what this machine is fastest in
    threads        of torch on the CPU; None: half of the cores
    batch_tokens   computed at once, with padding; None: by device
    """

    engine: EngineName = "direct"
    device: Device = "auto"
    precision: Precision | None = None
    threads: int | None = None
    batch_tokens: int | None = None


class Likelihoods(ABC):
    """A loaded model that measures questions. `template` is for held-out rows.

    name        of the engine, on the events
    precision   it computes in
    cut         questions so far that were cut to the model's context
    """

    name: str

    def __init__(self, loaded: LikelihoodEngine, template: Template) -> None:
        self.precision: str = loaded.precision
        self._loaded = loaded
        self._template = template
        self._cut = 0

    @property
    def cut(self) -> int:
        return self._cut

    def prompted(self, questions: Sequence[AnyQuestion]) -> tuple[Prompted, ...]:
        """The questions as this model is asked them."""
        return prompted(questions, self._loaded.tokenizer, self._template, self._loaded.max_length)

    @abstractmethod
    def measure(self, data: BenchmarkData, questions: Sequence[Prompted]) -> Iterator[Mapping[int, tuple[float, ...]]]:
        """After each batch, the log-likelihoods of complete questions, by place in `questions`."""


class DirectLikelihoods(Likelihoods):
    """Our own engine."""

    name = "direct"

    @property
    def cut(self) -> int:
        return self._loaded.cut + self._cut  # held-out rows are cut when they are encoded

    def measure(self, data: BenchmarkData, questions: Sequence[Prompted]) -> Iterator[Mapping[int, tuple[float, ...]]]:
        self._cut += sum(question.cut for question in questions)
        return self._loaded.measure([question.tokens for question in questions])


def open_engine(folder: Path, template: Template | None, options: EngineOptions) -> Likelihoods:
    """Load a model. `template` None: its tokenizer's chat template if it has one.

    Raises TrainerError when it cannot be loaded.
    """
    loaded = LikelihoodEngine(
        folder,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        batch_tokens=options.batch_tokens,
    )
    chosen = choose_template(loaded.tokenizer, template)
    if options.engine == "lm-eval":
        from consumers.evaluation.benchmarks.harness_engine import HarnessLikelihoods

        return HarnessLikelihoods(loaded, chosen)
    return DirectLikelihoods(loaded, chosen)
