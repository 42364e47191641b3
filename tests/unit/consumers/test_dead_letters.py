"""Dead letters are listed once each, put back as they were, and a crash in between makes a repeat and nothing else."""

from collections.abc import Iterable

import pytest

from consumers.dead_letters import content, letters, missing, retry
from infra.log.dead_letters import NO_VALUE, dead_letter_headers, left_out_headers
from infra.log.writer import Written
from schemas import ids
from schemas.envelope import Headers, Meta, encode
from schemas.errors import RunError
from schemas.events import Event, RunConfigured, RunStopped, TrainingLogged
from schemas.policy import policy_for
from schemas.seeds import SeedTask
from streams.core import decider
from tests.harness.memory_log import MemoryLog

SEEDS = tuple(SeedTask(id=f"s{n}", instruction=f"Say {n} things about the number {n}", output="x") for n in range(8))
WINDOW = TrainingLogged(window=0, epoch=1, model="m", steps=())


class Writer:
    """Writes to a log in memory as a LogWriter does; fails at the n-th write, as a crash would."""

    def __init__(self, log: MemoryLog, fails_at: int | None = None) -> None:
        self.log = log
        self.left = fails_at

    def put(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]
    ) -> Written:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        record = self.log.append(topic, partition, key, value, headers)
        return Written(partition, record.offset)


def new_log() -> MemoryLog:
    configured = RunConfigured(run="demo", policy=policy_for(batch_size=2), seeds=SEEDS, versions={})
    return MemoryLog(configured, decider.first_classifier(configured.policy, SEEDS))


def encoded(event: Event, id: str) -> tuple[bytes, bytes, Headers]:
    return encode(event, id, Meta(id, "/sedi/demo/test", "2026-11-21T08:00:00Z"))


def bury(log: MemoryLog, topic: str, key: bytes | None, value: bytes | None, headers: Headers, copies: int = 1) -> None:
    """A record that a reader could not read, and its dead letters."""
    record = log.append(topic, 0, key, value, headers)
    for _ in range(copies):
        added = dead_letter_headers(topic, 0, record.offset, "MalformedEvent: why")
        log.append(f"{topic}.dlq", 0, key, value, [*headers, *added])


def mended() -> MemoryLog:
    """A window that nobody could read when it was written, twice among the dead letters; it can be read now."""
    log = new_log()
    bury(log, "training-log", *encoded(WINDOW, ids.window_id(1, 0)), copies=2)
    return log


def test_a_record_with_headers_like_ours_keeps_them() -> None:
    log = new_log()
    own = [("dlq_mark", b"retried"), *dead_letter_headers("calls", 3, 99, "a lie"), ("dlq_left_out", b"")]
    bury(log, "calls", b"k", b"v", own)

    (letter,) = letters(log)
    found = content(log, "calls", 0)

    assert (letter.from_partition, letter.from_offset, letter.error) == (0, 0, "MalformedEvent: why")
    assert (found.record.key, found.record.value, list(found.record.headers)) == (b"k", b"v", own)


def test_a_dead_letter_is_put_back_as_it_was_and_a_second_time_only_if_asked() -> None:
    log = mended()
    (letter,) = letters(log)
    assert (letter.offset, letter.copies, letter.retried_as) == (0, 2, None)

    (done,) = retry(log, Writer(log), [letter])  # type: ignore[arg-type]

    first, again = log.records("training-log")
    assert (again.key, again.value, again.headers[:-1]) == (first.key, first.value, first.headers)
    assert again.headers[-1] == ("sedi_retry_of", b"training-log.dlq@0")
    assert done.retried_as == 1
    (letter,) = letters(log)
    assert letter.retried_as == 1
    assert content(log, "training-log", 1).letter == letter
    assert "--again" in str(next(retry(log, Writer(log), [letter])).refused)  # type: ignore[arg-type]
    assert next(retry(log, Writer(log), [letter], again=True)).retried_as == 2  # type: ignore[arg-type]


def test_a_crash_before_the_mark_leaves_it_to_be_put_back_again() -> None:
    log = mended()
    with pytest.raises(KeyboardInterrupt):
        list(retry(log, Writer(log, fails_at=1), letters(log)))  # type: ignore[arg-type]
    (letter,) = letters(log)
    assert letter.retried_as is None
    assert next(retry(log, Writer(log), [letter])).retried_as == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("forced", [False, True])
def test_what_would_fail_again_is_refused_with_the_reason(forced: bool) -> None:
    log = new_log()
    bury(log, "calls", b"k", b"not json", [])
    bury(log, "run", *encoded(RunStopped(reason="done"), "x"))
    found = list(retry(log, Writer(log), letters(log), force=forced))  # type: ignore[arg-type]
    if forced:
        assert [one.refused for one in found] == [None, None]
    else:
        assert "no ce_type header" in str(found[1].refused)
        assert "holds at its own place only" in str(found[0].refused)


def test_one_that_is_only_named_is_read_from_where_it_came_from() -> None:
    log = new_log()
    record = log.append("kept", 1, None, None, [("a", b"b")])
    added = dead_letter_headers("kept", 1, record.offset, "MalformedEvent: why")
    log.append("kept.dlq", 0, None, NO_VALUE, left_out_headers(added))

    found = content(log, "kept", 0)

    assert found.left_out and found.error is not None
    assert (found.record.value, found.record.headers) == (None, (("a", b"b"),))


def test_what_no_reader_of_ours_put_there_is_listed_and_never_put_back() -> None:
    log = new_log()
    log.append("calls.dlq", 0, b"k", b"v", [("dlq_topic", b"calls"), ("dlq_offset", b"x")])
    log.append("calls.dlq", 0, b"k", b"v", dead_letter_headers("kept", 0, 0, "of another topic"))
    log.append("calls.dlq", 0, b"k", b"v", [("dlq_mark", b"retried")])
    found = letters(log, ["calls"])
    assert [letter.from_offset for letter in found] == [None, None, None]
    assert all(one.refused for one in retry(log, Writer(log), found, force=True))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="There is no dead letter at offset 9"):
        content(log, "calls", 9)


def test_what_is_unreadable_or_out_of_place_and_not_among_the_dead_letters_is_missing() -> None:
    log = new_log()
    bury(log, "calls", b"k", b"not json", [])
    log.append("calls", 0, b"k", b"not json", [])
    log.append("rejected", 0, *encoded(WINDOW, ids.window_id(1, 0)))
    assert missing(log) == [("calls", 0, 1), ("rejected", 0, 0)]
