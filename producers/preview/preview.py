"""A preview of a run: an LLM is asked for a handful of generations, and the filter's decisions are made in memory.

Its calls are on the run's `calls` topic, in a lane of their own: budgets count them and the ledger has them. Nothing
else is written, so the run's books do not change. The seeds are those in force now, drawn for the preview's own lane:
the run itself will draw others.

A lane is named by what is asked. A second preview that asks the same finds the answers on the ledger and makes no
call, until it is to ask again; verdicts are as of now each time.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import msgspec

from infra.log.run import read_run
from infra.log.source import KafkaSource
from infra.log.writer import LogWriter
from infra.settings import Settings
from producers.backends.base import Backend
from producers.backends.choice import opened_backend, warn_of_task
from producers.calls.caller import Caller, CallOptions
from producers.calls.cost import Prices
from producers.calls.found_concurrency import rate_control_for
from producers.calls.spending_check import check_spending
from producers.generate.answer_styles import AnswerStyle
from producers.generate.progress_reader import ProgressReader
from producers.generate.style_factory import StyleInUse, answer_style, check_steering, style_of
from producers.generate.styles import SeedStyle
from producers.generate.subjects import opened_seed_subjects
from producers.preview.lane import OnPreviewed, PreviewLane, PreviewServices
from producers.preview.previewed import PreviewedGeneration
from producers.preview.state import decided_state
from schemas.errors import ConfigurationError
from streams.core.answering import answers_later
from streams.core.preview import preview_lane


@dataclass(frozen=True)
class PreviewOptions(CallOptions):
    """What a preview asks, beside its settings.

    style         of the generations
    answers       of the answers to kept instructions, where these are asked for afterwards; None: they are not
    generations   how many
    again         ask for new ones, though the ledger has some
    """

    run: str
    style: StyleInUse = field(default_factory=StyleInUse)
    answers: StyleInUse | None = None
    generations: int = 5
    again: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.generations < 1:
            raise ConfigurationError(f"generations is {self.generations}; preview 1 or more.")


@dataclass(frozen=True, kw_only=True)
class Previewed:
    """What was found.

    generations   in the order of their numbers; fewer than were asked for when it was ended
    ended         why no further call was made; None: all is there
    stopped       whether a signal ended it
    calls         attempts started now; answers that the ledger had took none
    attempts      started attempts for each answer, in the run's whole ledger
    kept          rows of the run before
    in_flight     calls that may be in flight at once
    answers_apart  whether the run asks for answers after rows are kept
    spent_usd     cost of the run's answers so far, this preview's too; None if one is not known
    """

    lane: str
    generations: tuple[PreviewedGeneration, ...]
    ended: str | None
    stopped: bool
    calls: int
    attempts: float
    kept: int
    in_flight: int
    answers_apart: bool
    spent_usd: float | None


def preview(
    options: PreviewOptions,
    settings: Settings,
    *,
    on_previewed: OnPreviewed = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Previewed:
    """Ask for generations of a configured run, with the backend that the settings name, and decide on them in memory.

    On SIGTERM or SIGINT the calls in flight end and it returns what there is; on a second one it returns at once.
    Signals are handled only in the main thread.
    Raises BackendError when the endpoint fails for good, RunError when the run does not exist or another preview that
    asks the same is at work, ConfigurationError for unusable options, BrokerError when the cluster does not answer.
    """
    configured, classifiers = read_run(settings, options.run)
    policy = configured.policy
    prices = Prices.of(settings)
    check_spending(options.limits, policy, settings, progress)
    check_steering(policy, options.style.style)
    style = style_of(options.style, settings, policy.answer)
    later = answers_later(policy, style.name)
    answers = answer_style(options.answers, settings) if later and options.answers is not None else None
    warn_of_task(settings, progress)
    rate = rate_control_for(settings, options.rate, options.in_flight, progress)
    with opened_backend(settings, options.recorded, rate.most, progress) as backend:
        lane = preview_lane(_asked(style, answers, backend))
        with closing(ProgressReader(settings, configured, lane, notify=progress)) as reader:
            subjects = opened_seed_subjects(style, settings, configured, lane)
            with subjects as seed_subjects, LogWriter(settings, options.run, "preview") as writer:
                state = decided_state(KafkaSource(settings, options.run), configured, classifiers)
                kept, seeds = len(state.kept), {seed.id: seed.instruction for seed in configured.seeds}
                caller = Caller.of(options, settings, backend=backend, writer=writer, reader=reader, rate=rate)
                services = PreviewServices(
                    subjects=seed_subjects(caller),
                    answers=answers,
                    caller=caller,
                    backend=backend,
                    price=lambda answer: prices.cost(answer.usage),
                    on_previewed=on_previewed,
                )
                work = PreviewLane(lane, _numbers(reader, options), state, seeds, services)
                asyncio.run(work.run())
                ledger = reader.refresh().ledger
    return Previewed(
        lane=lane,
        generations=tuple(work.found),
        ended=caller.halted,
        stopped=work.signalled,
        calls=caller.started,
        attempts=ledger.started / ledger.answered if ledger.answered else 1.0,
        kept=kept,
        in_flight=caller.in_flight_limit,
        answers_apart=later,
        spent_usd=ledger.cost_usd,
    )


def _asked(style: SeedStyle, answers: AnswerStyle | None, backend: Backend) -> list[str]:
    parameters = [style.parameters, None if answers is None else [answers.name, answers.parameters]]
    return [style.name, style.parser, msgspec.json.encode(parameters).decode(), backend.name, backend.model]


def _numbers(reader: ProgressReader, options: PreviewOptions) -> range:
    """Those of the last generations that were begun, and of new ones where these are too few."""
    lane = reader.progress.ledger.lanes.get(reader.progress.lane)
    begun = 0 if lane is None else lane.newest + 1
    first = begun if options.again else max(0, begun - options.generations)
    return range(first, first + options.generations)
