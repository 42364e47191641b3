"""A trainer without a model: `python -m benchmarks.stub_trainer RUN STEPS_A_SECOND`, until SIGTERM.

It has the trainer's reading, queues, batches and borrowing, and writes the same windows. A step only takes time; its
gradient norm is a pseudorandom function of its number, so the batch of a window is chosen at random.
"""

import random
import signal
import sys
import threading
import time

from consumers.trainer.data.batches import RowStream, StreamEnds
from consumers.trainer.data.log_feed import LogFeed
from consumers.trainer.distributed.process_group import ProcessGroup
from consumers.trainer.options import BORROW_AFTER_S
from consumers.trainer.record.window_log import LoggedTraining, WindowLog
from infra.log.run import read_run
from infra.log.writer import LogWriter
from infra.models.templates import EncodedRow
from infra.settings import Settings, load
from schemas.events import StepLogged


def train(settings: Settings, run: str, steps_a_second: float, stop: threading.Event) -> None:
    """Train the run's rows at this rate until `stop`."""
    policy = read_run(settings, run)[0].policy
    feed = LogFeed(settings, run, policy.clusters, until_end=False, dead_letter=lambda record: "passed over")
    stream = RowStream(
        feed,
        ProcessGroup(),
        policy.clusters,
        policy.batch_size,
        StreamEnds(borrow_after_s=BORROW_AFTER_S, window_rows=policy.window_steps * policy.batch_size),
        encode=lambda row: EncodedRow((1,), 1, False),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    with LogWriter(settings, run, "trainer") as writer:
        windows = WindowLog(writer, "stub", policy.window_steps, logged=LoggedTraining({}, None), last=None, pending=())
        stream.open({})
        step, due = 0, 0.0
        while not isinstance(share := stream.next_batch(stop.is_set), str):
            due = max(due, time.monotonic()) + 1 / steps_a_second
            stop.wait(due - time.monotonic())
            step += 1
            logged = StepLogged(
                step=step,
                loss=1.0,
                loss_variance=0.0,
                grad_norm=random.Random(step).uniform(0.5, 5.0),
                learning_rate=2e-5,
                tokens=sum(each.response for each in share.batch),
                seconds=1 / steps_a_second,
                rows=tuple(each.row for each in share.batch),
            )
            windows.add(logged, epoch=1)
    stream.close()
    feed.close()


if __name__ == "__main__":
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    train(load(), sys.argv[1], float(sys.argv[2]), ended)
