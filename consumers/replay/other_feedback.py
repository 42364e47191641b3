"""The feedback of a what-if: recorded windows, answered by another policy beside the recorded commands."""

from collections.abc import Iterator

import msgspec

from consumers.replay.effect_stream import EffectStream
from infra.log.record import Record
from schemas.events import InstructionJudged, ReplaceSeeds, RunConfigured, TrainingLogged
from schemas.policy import Policy
from streams.core.decider import FilterState
from streams.core.feedback import answer
from streams.core.judging import FirstJudge
from streams.core.seeds import SeedPool


class OtherFeedback:
    """Follows `seed-commands` and `training-log` with two pools: the recorded one and the other policy's."""

    def __init__(self, configured: RunConfigured, policy: Policy, streams: dict[str, EffectStream]) -> None:
        own = configured.policy
        # whether a batch borrowed rows depends on the clusters that it was assembled from
        self._policy = msgspec.structs.replace(policy, clusters=own.clusters, batch_size=own.batch_size)
        self._recorded_scores = own.candidate_min_score is not None
        self._recorded_pool = SeedPool.of(configured.seeds)
        self._other_pool = SeedPool.of(configured.seeds)
        self._training = streams["training-log"]
        self._windows: dict[int, TrainingLogged] = {}
        self._commands = streams["seed-commands"]
        self._judge = FirstJudge()
        if policy.candidate_min_score is not None:
            while (record := streams["judged"].take()) is not None:
                event = record.event if isinstance(record.event, InstructionJudged) else None
                self._judge.apply(event, record.offset)
        self._head = self._next_command()

    def before(self, offset: int, state: FilterState) -> Iterator[tuple[ReplaceSeeds, ReplaceSeeds | None]]:
        """The recorded commands before the decision on an offset, each with the other policy's."""
        while self._head is not None and self._head[1].as_of_offset < offset:
            record, command = self._head
            if self._recorded_pool.apply(command, record.offset):
                yield command, self._answer(record, command, state)
            self._head = self._next_command()

    def _answer(self, record: Record, command: ReplaceSeeds, state: FilterState) -> ReplaceSeeds | None:
        window = self._window(command.training_offset)
        if window is None or not self._policy.feedback:
            return None
        other = answer(
            self._policy,
            self._other_pool,
            state.scores,
            state.kept,
            window,
            command.training_offset,
            command.as_of_offset,
            self._judge,
            command.judged_offset if self._recorded_scores else self._judge.offset,
        )
        self._other_pool.apply(other, record.offset)
        return other

    def _next_command(self) -> tuple[Record, ReplaceSeeds] | None:
        while (record := self._commands.take()) is not None:
            if isinstance(record.event, ReplaceSeeds):
                return record, record.event
        return None

    def _window(self, offset: int) -> TrainingLogged | None:
        while offset not in self._windows and (record := self._training.take()) is not None:
            self._windows.clear()  # windows are answered in order
            if isinstance(record.event, TrainingLogged):
                self._windows[record.offset] = record.event
        return self._windows.get(offset)
