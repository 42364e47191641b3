"""`train`: a trainer on a run's log, put together.

What ends it: the end of the stream after the last epoch, `max_steps` or `max_windows` (then the model is saved),
SIGTERM or SIGINT (then only a checkpoint is). torch, transformers and DeepSpeed are imported when `train` is called.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from consumers.trainer import cpu
from consumers.trainer.counts import Counts
from consumers.trainer.engine import Engine, pick_device
from consumers.trainer.options import TrainOptions, TrainSummary
from consumers.trainer.quiet import talk_to
from consumers.trainer.rows import Ends, RowStream
from consumers.trainer.session import Session
from consumers.trainer.stopping import sole_user, stop_signals
from consumers.trainer.templates import choose_template
from consumers.trainer.trainee import load_tokenizer, load_trainee, trainee_name
from consumers.trainer.windows import Logged, read_logged
from infra.log import LogWriter
from infra.record import Record
from infra.run import read_run
from infra.settings import Settings
from schemas.events import StepLogged
from schemas.policy import Policy

__all__ = ["TrainOptions", "TrainSummary", "train"]

Say = Callable[[str], None]


def train(
    options: TrainOptions,
    settings: Settings,
    *,
    on_step: Callable[[StepLogged], None] | None = None,
    say: Say | None = None,
) -> TrainSummary:
    """Train on a run's kept rows and log each window; goes on from the last checkpoint in the output folder.

    `on_step` is called after each step, `say` with lines for people (default: standard error). Run it in the main
    thread of a process of its own: it takes SIGTERM and SIGINT, sets torch's threads, and keeps memory it once used.

    Raises RunError, TopicMismatch, BrokerError, ConfigurationError, and TrainerError for a trainee, a checkpoint or a
    training log that cannot be used.
    """
    cpu.passive_threads()
    say = say or _to_stderr
    policy = read_run(settings, options.run)[0].policy
    output = options.output or settings.state_dir / options.run
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        stack.enter_context(sole_user(output))
        writer = LogWriter(settings, options.run, "trainer") if options.write_log else None
        if writer is not None:
            stack.enter_context(writer)
        counts = Counts()
        stream = RowStream(
            settings,
            options.run,
            policy.batch_size,
            Ends(options.until_end, options.last_batch, options.borrow_after_s),
            dead_letter=lambda record: _dead_letter(record, writer, counts, say),
            say=say,
        )
        stack.callback(stream.close)
        name = trainee_name(options.model, options.layers)
        logged = read_logged(settings, options.run, name) if options.write_log else Logged({}, None)
        log_file = output / "deepspeed.log"
        with talk_to(log_file):
            tokenizer = load_tokenizer(options.model)
            template = choose_template(tokenizer, options.template)
            engine = _engine(options, policy, tokenizer, log_file)
        stack.callback(engine.close)
        session = Session(
            options=options, policy=policy, output=output, name=name, template=template, tokenizer=tokenizer,
            engine=engine, stream=stream, writer=writer, logged=logged, counts=counts, stop=stop, say=say,
        )  # fmt: skip
        session.begin()
        return session.loop(on_step or (lambda step: None))


def _engine(options: TrainOptions, policy: Policy, tokenizer: Any, log_file: Path) -> Engine:
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.rng_seed)
    device = pick_device(options.device)
    if device == "cpu":
        cpu.keep_freed_memory()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return Engine(
        load_trainee(options.model, options.precision, options.layers),
        precision=options.precision,
        device=device,
        zero_stage=options.zero_stage,
        weight_decay=options.weight_decay,
        clip=options.clip,
        micro_batch=min(options.micro_batch or policy.batch_size, policy.batch_size),
        pad_token=pad or 0,
        log_file=log_file,
    )


def _dead_letter(record: Record, writer: LogWriter | None, counts: Counts, say: Say) -> None:
    counts.unreadable += 1
    where = "put on the dead letters" if writer is not None else "passed over"
    say(f"Offset {record.offset} of partition {record.partition} of `kept` cannot be read ({record.error}): {where}.")
    if writer is not None:
        writer.dead_letter(record)


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
