"""The Faust app of a run: three sources, three agents, three tables, and their recovery after a rebalance.

    generated ──> filter agent ──> kept, rejected, (run: ClassifierFitted, InstructionsReleased)
                   │ kept table, score table
    training-log ─> feedback agent ──> seed-commands
    (judged) ─────────┘
    seed-commands ─> seeds agent
                      seeds table

Every topic has one partition, so one worker is active and the others are on standby. Each source is read through a
`Cursor`, which gives the guarantees; Faust delivers records, recovers the tables and moves them between workers.
`judged` is read only if the policy has a `candidate_min_score`, `answered` only in a run that answers kept instructions
alone; both directly from the log: a run may lack that topic, and then Faust could not subscribe to it. The filter reads
`answered` too, and `run`, where kept rows whose answer is not used are released.
"""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faust

from infra.cluster.connection import MAX_RECORD_BYTES, ssl_context
from infra.log.dead_letters import origins
from infra.log.record import Record
from infra.log.run import read_run
from infra.observed import observation
from infra.settings import Settings
from schemas.events import RunConfigured
from schemas.topics import dead_letter_name, topic_name
from streams.core.releases import releases
from streams.worker.answered import AnsweredReader
from streams.worker.block_writer import BATCH_BYTES, BlockWriter
from streams.worker.cursor import Cursor, Fetch, one_by_one
from streams.worker.dead_letter_limit import DeadLetterLimit
from streams.worker.deliveries import deliver_in_blocks
from streams.worker.feedback import FeedbackAgent, JudgedRows, SeedTable
from streams.worker.filter import BLOCK_RECORDS, FilterAgent
from streams.worker.observing import in_command_span, timed
from streams.worker.optional_topic import OptionalTopic
from streams.worker.outlet import Outlet
from streams.worker.releases import FailedAnswers, Releaser
from streams.worker.shutdown import WorkerApp

logger = logging.getLogger(__name__)

CATCH_UP_S = 2.0
SESSION_S = 6.0
FETCH_RECORDS = 500
_PANIC = "PanicException"  # of the compiled core: a class that cannot be imported


class OnePartitionTable(faust.Table):  # type: ignore[type-arg]
    """A table whose changelog has one partition. Faust would look the number up, which fails on a new cluster until the
    producer has the changelog's metadata."""

    logger = logging.getLogger("faust.tables")  # by default it would be this module's

    def partition_for_key(self, key: Any) -> int:
        return 0


@dataclass
class Worker:
    """The app and its agents. `repaired`: whether the tables were completed since the last recovery."""

    app: WorkerApp
    outlet: Outlet
    filter: FilterAgent
    seeds: SeedTable
    cursors: dict[str, Cursor]
    repaired: bool = False

    async def repair(self) -> None:
        """Once after a recovery: write the missing entries of the score and seeds tables. Events keep them complete."""
        if not self.repaired and all(cursor.active for cursor in self.cursors.values()):
            await self.cursors["generated"].settle()  # amid a block the scores are ahead of the kept table
            await self.filter.repair_scores()
            self.seeds.write()
            self.repaired = True


def build(settings: Settings, run: str, configured: RunConfigured) -> Worker:
    """Wire the app of a run, without starting it."""
    app = _app(settings, run)
    limit = DeadLetterLimit(settings.dead_letters_in_a_row, settings.dead_letter_share)
    outlet = Outlet(app, run, "worker", limit, BlockWriter(app))
    kept, scores, seeds_table = (_table(app, name) for name in ("kept", "scores", "seeds"))
    log = LogFetcher(settings, run)
    filter_ = FilterAgent(configured, outlet, kept, scores)
    seeds = SeedTable(configured, outlet, seeds_table)
    generated = Cursor("generated", log.fetch, timed(filter_.apply), BLOCK_RECORDS)
    commands = Cursor("seed-commands", log.fetch, one_by_one(seeds.apply))
    feedback = FeedbackAgent(
        configured, outlet, filter=filter_, seeds=seeds, filter_cursor=generated, seeds_cursor=commands
    )
    training = Cursor("training-log", log.fetch, one_by_one(in_command_span(feedback.apply)))
    cursors = {cursor.topic: cursor for cursor in (generated, training, commands)}
    _agents(app, run, cursors)
    if configured.policy.candidate_min_score is not None:
        judged = JudgedRows(outlet)
        cursors["judged"] = Cursor("judged", log.fetch, one_by_one(judged.apply))
        feedback.judged = judged, cursors["judged"]
    if configured.policy.answer == "kept":
        feedback.answered = log.answered
    if releases(configured.policy):
        filter_.releaser = Releaser(run, outlet, log.fetch, log.failed_answers)
    worker = Worker(app, outlet, filter_, seeds, cursors)
    _recovery(worker, settings, configured, kept, log)
    return worker


def _app(settings: Settings, run: str) -> WorkerApp:
    broker = ";".join(f"kafka://{server}" for server in settings.bootstrap_servers.split(","))
    return WorkerApp(
        f"sedi.{run}.worker",
        broker=broker,
        broker_credentials=_credentials(settings),
        broker_request_timeout=30.0,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 3,
        consumer_max_fetch_size=MAX_RECORD_BYTES,
        producer_max_request_size=MAX_RECORD_BYTES,
        producer_max_batch_size=BATCH_BYTES,
        producer_acks=-1,
        store="memory://",
        Table=OnePartitionTable,
        processing_guarantee="at_least_once",
        topic_disable_leader=True,
        topic_allow_declare=True,
        topic_partitions=1,
        topic_replication_factor=settings.replication_factor,
        table_standby_replicas=settings.standby_replicas,
        stream_wait_empty=False,
        web_enabled=False,
        datadir=str(settings.state_dir / run / "faust"),
    )


def _credentials(settings: Settings) -> Any:
    context: ssl.SSLContext | None = ssl_context(settings)
    match settings.security_protocol:
        case "PLAINTEXT":
            return None
        case "SSL":
            return faust.SSLCredentials(context=context)
        case _:
            return faust.SASLCredentials(
                username=settings.sasl_username,
                password=settings.sasl_password.get_secret_value() if settings.sasl_password else None,
                mechanism=settings.sasl_mechanism,
                ssl_context=context,
            )


def _table(app: faust.App, name: str) -> Any:
    """A table of bytes to bytes, so that its values are exactly what the core encodes."""
    return app.Table(name, key_type=bytes, value_type=bytes, partitions=1, use_partitioner=True)


async def _crash(app: faust.App, error: BaseException, what: str) -> None:
    """Stop the app. A panic of the compiled core is no Exception, and would end a task without a word; all else that is
    none is an end that was asked for, and goes on.
    """
    panic = type(error).__name__ == _PANIC
    if not panic and not isinstance(error, Exception):
        raise error
    logger.error("%s: %r", what, error)
    await app.crash(RuntimeError(f"{_PANIC}: {error}") if panic else error)


def _agents(app: faust.App, run: str, cursors: dict[str, Cursor]) -> None:
    for short, cursor in cursors.items():
        topic = app.topic(topic_name(run, short), key_serializer="raw", value_serializer="raw", allow_empty=True)

        async def deliver(stream: Any, cursor: Cursor = cursor) -> None:
            try:
                await deliver_in_blocks(stream, cursor)
            except BaseException as error:  # noqa: BLE001 - not the records' fault: stop without an ack
                await _crash(app, error, f"{cursor.topic} stopped after offset {cursor.applied}")

        app.agent(topic, name=f"sedi.{short}", concurrency=1)(deliver)


def _recovery(worker: Worker, settings: Settings, configured: RunConfigured, kept: Any, log: "LogFetcher") -> None:
    """Register recovery after a rebalance, periodic catch-up and shutdown with the app."""
    app, cursors, run = worker.app, worker.cursors, configured.run
    applied_before: dict[str, int] = {}
    letters: dict[str, tuple[set[int], set[int]]] = {}

    async def start(topic: str, applied: int) -> None:
        worker.outlet.dead_letters(topic).recover(*letters[topic], applied)
        await cursors[topic].start(applied)

    @app.on_partitions_revoked.connect  # type: ignore[arg-type]
    async def stop(app: faust.App, revoked: Any, **_: Any) -> None:
        observation().not_ready("its partitions are being assigned")
        for cursor in cursors.values():
            cursor.stop()

    @kept.on_recover  # type: ignore[untyped-decorator]
    async def recovered() -> None:
        if not any(tp.topic == topic_name(run, "generated") for tp in app.assignor.assigned_actives()):
            logger.info("standing by: another worker decides")
            observation().ready("standing by: another worker decides")
            return
        for cursor in cursors.values():
            cursor.stop()
        worker.repaired = False
        try:
            await cursors["generated"].settle()  # a block in progress would reach into the recovered state
            if worker.filter.releaser is not None:
                await worker.filter.releaser.read_on()
            _, classifiers = await asyncio.to_thread(read_run, settings, run)
            # off the event loop: a large table must not block the heartbeats
            await asyncio.to_thread(worker.filter.recover, classifiers)
            await worker.filter.refit()
            for topic in cursors:
                letters[topic] = await _dead_letters(log.fetch, topic)
            await start("seed-commands", worker.seeds.pool.commands_offset)
            await cursors["seed-commands"].catch_up()
            if "judged" in cursors:
                await start("judged", cursors["judged"].applied)
            await start("generated", worker.filter.state.applied)
            await start("training-log", worker.seeds.pool.training_offset)
        except BaseException as error:  # noqa: BLE001 - a worker that cannot recover must not decide
            await _crash(app, error, "recovery failed")
            return
        logger.info("active from offset %d of generated", worker.filter.state.applied + 1)
        observation().ready("it decides")

    @app.on_before_shutdown.connect  # type: ignore[arg-type]
    async def close(app: faust.App, **_: Any) -> None:
        for cursor in cursors.values():
            cursor.stop()
        await asyncio.to_thread(log.close)

    @app.timer(CATCH_UP_S)  # type: ignore[untyped-decorator]
    async def catch_up() -> None:
        try:
            for cursor in cursors.values():
                if cursor.active and applied_before.get(cursor.topic) == cursor.applied:
                    await cursor.catch_up()
                applied_before[cursor.topic] = cursor.applied
            await worker.repair()
        except BaseException as error:  # noqa: BLE001 - as in the agents
            await _crash(app, error, "catching up failed")


async def _dead_letters(fetch: Fetch, topic: str) -> tuple[set[int], set[int]]:
    """The offsets of a topic's dead letters: those that wait, and those that were put back."""
    found: list[Record] = []
    while records := await fetch(dead_letter_name(topic), found[-1].offset + 1 if found else 0, None):
        found += records
    waiting, put_back = origins(found)
    return {offset for _, offset in waiting}, {offset for _, offset in put_back}


class LogFetcher:
    """Direct reads of the log for the cursors, one at a time, off the event loop.

    answered         the rows with their answers, for the feedback
    failed_answers   the rows whose answer is not used, for the filter
    """

    def __init__(self, settings: Settings, run: str) -> None:
        self._settings = settings
        self._run = run
        self._lock = asyncio.Lock()
        self._topics: dict[str, OptionalTopic] = {}
        self.answered = AnsweredReader(settings, run)
        self.failed_answers = FailedAnswers(settings, run)

    async def fetch(self, topic: str, start: int, end: int | None) -> Sequence[Record]:
        """Records [start, end) of the topic's one partition, the first FETCH_RECORDS of them."""
        async with self._lock:
            return await asyncio.to_thread(self._fetch, topic, start, end)

    def _fetch(self, topic: str, start: int, end: int | None) -> list[Record]:
        if topic not in self._topics:
            self._topics[topic] = OptionalTopic(self._settings, self._run, topic, f"worker-{topic}")
        reader = self._topics[topic].reader()
        return [] if reader is None else reader.read_range(topic, 0, start, end, FETCH_RECORDS)

    def close(self) -> None:
        for topic in self._topics.values():
            topic.close()
        self.answered.close()
        self.failed_answers.close()
