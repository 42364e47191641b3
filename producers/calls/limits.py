"""When a generator must stop and when it must wait, decided from the run's log alone.

Limits belong to the run, not to the process: they hold across restarts and over several generators. A call is made when
its worst case fits beside all others on the log: answered calls, calls in flight here and elsewhere, failed calls due
for a retry, and, at their worst case, calls that were lost or failed and may have been paid for.

Two generators may decide at the same moment without seeing each other. So near a limit each starts one call at a time,
and the limit can be exceeded by that much. An endpoint that counts more tokens than it was allowed exceeds it too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from infra.prices import HOW_TO_PRICE
from producers.calls.cost import PlannedCall
from producers.generate.progress import LaneProgress
from schemas.errors import ConfigurationError
from schemas.policy import Policy
from streams.core.answering import LANE as ANSWERERS
from streams.core.evaluation.lanes import LANE as EVALUATIONS
from streams.core.judging import LANE as JUDGES
from streams.core.preview import LANE as PREVIEWS

MOST_IN_FLIGHT = 256
"""The most calls in flight of one generator."""

AHEAD_WINDOWS = 2
"""By default a generator may be so many training windows of rows ahead of the trainer: one to train on, one to make."""

MOST_UNANSWERED = 128
"""By default so many kept rows may wait for their answers where there is a budget, which must suffice for them too."""

_WITHOUT = "`--max-ahead none` goes on without, and is needed with `sedi train --min-score`."

OTHER_LANES = (f"{ANSWERERS}/", f"{JUDGES}/", f"{EVALUATIONS}/", f"{PREVIEWS}/")
"""Beginnings of the names of lanes that are no generators'."""

_SILENT_S = 60.0  # without a training window, after which the message asks whether a trainer is at work

Behind = Literal["filter", "answerer", "trainer", "target", "documents"]
"""What a generator waits for: filter, answerer, trainer, or, near the target `max_kept`, verdicts on what is
written; a lane about documents waits for further ones."""


@dataclass(frozen=True)
class Limits:
    """None is no limit.

    max_kept          instructions kept: a target, exceeded by about one generation (`target_expected`)
    max_candidates    instructions generated
    max_calls         attempts started, whatever their outcome
    max_tokens        tokens of all answers, prompts included
    max_usd           cost of all answers
    max_generations   generations written
    max_filter_lag    generations written and not yet decided, above which generators wait
    max_unanswered    kept rows without an answer, above which generators wait, so that a budget is not used up for
                      instructions that then have none
    max_ahead         kept rows not trained yet, above which generators wait; generations already begun come on top
                      (`producers.generate.trainer_backlog`)
    """

    max_kept: int | None = None
    max_candidates: int | None = None
    max_calls: int | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    max_generations: int | None = None
    max_filter_lag: int | None = None
    max_ahead: int | None = None
    max_unanswered: int | None = None

    def check(self, policy: Policy, *, priced: bool) -> None:
        """Raise ConfigurationError for limits that cannot be enforced or would block for ever."""
        if self.max_usd is not None and not priced:
            raise ConfigurationError(
                f"--max-usd is {self.max_usd}, but the price of a call is not known: {HOW_TO_PRICE}, or limit by "
                "--max-calls."
            )
        window = window_rows(policy)
        if self.max_ahead is not None and self.max_ahead < window:
            raise ConfigurationError(
                f"--max-ahead is {self.max_ahead}, but the trainer logs its progress only every {window} rows "
                f"({policy.window_steps} steps of {policy.batch_size}). Give {window} or more, or `none`."
            )

    def with_training_limit(self, policy: Policy, windows: int | None) -> "Limits":
        """The same with `max_ahead` at so many training windows of rows, if it is not set and training feeds back."""
        if self.max_ahead is not None or windows is None or not policy.feedback:
            return self
        return replace(self, max_ahead=windows * window_rows(policy))

    def with_answer_limit(self, policy: Policy) -> "Limits":
        """The same with `max_unanswered` as it is for a run of this policy: where calls, tokens or money are limited,
        `MOST_UNANSWERED` if it is not set; none where a generation answers its instructions itself."""
        most = self.max_unanswered or (MOST_UNANSWERED if self.spending else None)
        return replace(self, max_unanswered=most if policy.answer == "kept" else None)

    def reached(self, progress: LaneProgress) -> str | None:
        """The limit that has been reached, as a sentence, or None."""
        ledger = progress.ledger
        for flag, limit, used, what in (
            ("--max-kept", self.max_kept, progress.kept_total, f"{progress.kept_total} instructions are kept"),
            ("--max-calls", self.max_calls, ledger.started, f"{ledger.started} calls were made"),
            ("--max-tokens", self.max_tokens, ledger.known_tokens, f"{ledger.known_tokens} tokens were taken"),
            ("--max-usd", self.max_usd, ledger.known_cost_usd, f"{ledger.known_cost_usd:.4f} USD were spent"),
        ):
            if limit is not None and used >= limit:
                return f"{what} ({flag} {limit})"
        if self.max_tokens is not None and ledger.without_usage:
            return (
                f"how many tokens {ledger.without_usage} answers took is not known, because the endpoint reports no "
                f"usage, so --max-tokens {self.max_tokens} cannot be held; limit by --max-calls"
            )
        if self.max_usd is not None and ledger.without_cost:
            return (
                f"what {ledger.without_cost} answers cost is not known, because the endpoint reports no usage or they "
                f"were made without prices, so --max-usd {self.max_usd} cannot be held; limit by --max-calls"
            )
        return None

    def may_call(self, progress: LaneProgress, planned: PlannedCall) -> str | None:
        """Why this call may not be made now, as a sentence, or None. It may be when a call in flight has ended."""
        reached = self.reached(progress)
        if reached is not None:
            return reached
        ledger = progress.ledger
        for flag, limit, used, before, starting, call in self._enforced(progress, planned):
            room = limit - used - before
            others = len(ledger.lanes.keys() - {progress.lane})
            if planned.starting and progress.lane not in ledger.lanes:
                return f"the first call of a lane goes alone, so that others see it ({flag} {limit})"
            if planned.starting and others and room < (others + 1) * MOST_IN_FLIGHT * call:
                return f"near {flag} {limit} calls begin one by one, since other lanes may begin one in this moment"
            if starting + call > room:
                return f"the next call could exceed {flag} {limit}: {used:g} are used, {before:g} may be in flight"
        return None

    def _enforced(
        self, progress: LaneProgress, planned: PlannedCall
    ) -> Iterator[tuple[str, float, float, float, float, float]]:
        """Each limit: its flag and value, what is used, may be in flight, and starts in this round; the call's own."""
        ledger = progress.ledger
        reserved = 0 if planned.retry else ledger.retrying  # so that begun requests can be finished, here and elsewhere
        unknown = ledger.lost + ledger.perhaps_paid
        # calls of other processes, and of those that died
        elsewhere = max(0, unknown + ledger.open + reserved - len(planned.in_flight))
        if self.max_calls is not None:
            yield "--max-calls", self.max_calls, ledger.started, reserved, len(planned.starting), 1
        if self.max_tokens is not None:
            yield (
                "--max-tokens",
                self.max_tokens,
                ledger.known_tokens,
                _sum(worst.tokens for worst in planned.in_flight) + _sum([planned.largest.tokens] * elsewhere),
                _sum(worst.tokens for worst in planned.starting),
                _sum([planned.call.tokens]),
            )
        if self.max_usd is not None:
            yield (
                "--max-usd",
                self.max_usd,
                ledger.known_cost_usd,
                _sum(worst.usd for worst in planned.in_flight) + _sum([planned.largest.usd] * elsewhere),
                _sum(worst.usd for worst in planned.starting),
                _sum([planned.call.usd]),
            )

    def generation_limit(self, progress: LaneProgress, begun: int, candidates: int = 0) -> str | None:
        """Why no further generation may begin after those numbered below `begun`, as a sentence, or None.

        candidates   the most instructions that a generation asks for
        """
        others = progress.generations - progress.next_number
        if self.max_generations is not None and others + begun >= self.max_generations:
            return f"{others + begun} generations are written (--max-generations {self.max_generations})"
        if self.max_candidates is not None:
            ledger = progress.ledger
            here = max(0, begun - progress.next_number)
            # The calls of judges, evaluations and previews write no instructions.
            generating = {name: lane for name, lane in ledger.lanes.items() if not name.startswith(OTHER_LANES)}
            elsewhere = sum(lane.open for name, lane in generating.items() if name != progress.lane)
            room = self.max_candidates - progress.candidates - elsewhere * candidates
            lanes = len(generating.keys() | {progress.lane})
            if ((here + 1) * candidates > room / lanes) if here else (candidates > room):
                return (
                    f"{progress.candidates} instructions are generated, and the next {candidates} could exceed "
                    f"--max-candidates {self.max_candidates}"
                )
        return None

    def target_expected(self, progress: LaneProgress, begun: int, most_kept: int) -> bool:
        """Whether the generations begun so far are expected to reach `max_kept`: then the next one waits for verdicts.

        A generation that is begun or undecided is expected to keep the window's average, or, while few were decided,
        `most_kept`, the most that it can. If this lane has none of those, one begins in any case: another lane's may
        never be written.
        """
        if self.max_kept is None:
            return False
        here = max(0, begun - progress.next_number) + progress.filter_lag
        if not here:
            return False
        average = progress.rolling.kept_per_generation()
        expected = most_kept if average is None else average
        return progress.kept_total + expected * (here + progress.begun_elsewhere()) >= self.max_kept

    @property
    def spending(self) -> bool:
        """Whether calls, tokens or money are limited."""
        return any(limit is not None for limit in (self.max_calls, self.max_tokens, self.max_usd))

    @property
    def without_spending(self) -> "Limits":
        """The same without limits on calls, tokens and money."""
        return replace(self, max_calls=None, max_tokens=None, max_usd=None)

    def waits_for(
        self, progress: LaneProgress, ahead: int | None, most_kept: int, unanswered: int | None = None
    ) -> Behind | None:
        """What the next generation has to wait for, or None.

        unanswered  kept rows without an answer; None: not limited
        ahead       kept rows not trained yet; None: not known, and not limited
        most_kept   the most instructions of a generation that can be kept

        Undecided generations are expected to keep the window's average. Otherwise, while the filter is behind, a fast
        generator could run as far ahead of training as of the filter.
        """
        if self.max_filter_lag is not None and progress.filter_lag > self.max_filter_lag:
            return "filter"
        if self.max_unanswered is not None and unanswered is not None and unanswered > self.max_unanswered:
            return "answerer"
        if self.max_ahead is None or ahead is None:
            return None
        if ahead > self.max_ahead:
            return "trainer"
        average = progress.rolling.kept_per_generation()
        expected = progress.filter_lag * (most_kept if average is None else average)
        return "filter" if progress.filter_lag and ahead + expected > self.max_ahead else None

    def waiting_message(self, behind: Behind, progress: LaneProgress, ahead: int | None, silent_s: float) -> str | None:
        """Why a generator has been waiting, for people; None where nothing can be done about it.

        silent_s   seconds since the last training window, or since the generator started
        """
        match behind:
            case "filter":
                return (
                    f"Waiting for the filter: {progress.filter_lag} generations are not decided yet; is a worker "
                    "(`sedi worker`) at work?"
                )
            case "answerer":
                return (
                    f"Waiting for answers: more than {self.max_unanswered} kept rows have none yet; is an answerer "
                    "(`sedi answer`) at work?"
                )
            case "trainer":
                message = f"Waiting for training: {ahead} kept rows ahead of it, at most {self.max_ahead}."
                if silent_s < _SILENT_S:
                    return message
                window = f"came for {silent_s:.0f} s" if progress.windows else "was ever logged"
                return f"{message} No training window {window}: is a trainer at work? {_WITHOUT}"
            case "documents":
                return (
                    "Waiting for documents: all are used. `sedi corpus add` adds some; without --follow the lane ends."
                )
            case "target":
                return None


def window_rows(policy: Policy) -> int:
    """Rows of a training window."""
    return policy.window_steps * policy.batch_size


def _sum(amounts: Iterable[float | None]) -> float:
    """The sum of worst cases; infinite if one is not known."""
    return sum(float("inf") if amount is None else amount for amount in amounts)
