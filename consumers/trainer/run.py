"""`train`: a trainer on a run's log, put together.

What ends it: the end of the stream after the last epoch, `max_steps` or `max_windows` (then the model is saved),
SIGTERM or SIGINT (then only a checkpoint is). torch, transformers and DeepSpeed are imported when `train` is called.
"""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from consumers.trainer.data.batches import RowStream, StreamEnds
from consumers.trainer.data.log_feed import LogFeed
from consumers.trainer.data.offline import OfflineSource, from_archive, from_file, with_batch_size
from consumers.trainer.data.score_threshold import ScoreThreshold
from consumers.trainer.data.templates import EncodedRow, choose_template, encode
from consumers.trainer.distributed.process_group import ProcessGroup, joined, place
from consumers.trainer.engine import cpu
from consumers.trainer.engine.held_out import HeldOut
from consumers.trainer.engine.lora import adapted
from consumers.trainer.engine.model import load_model_and_tokenizer, load_tokenizer, model_name
from consumers.trainer.engine.step import Engine, pick_device
from consumers.trainer.options import Precision, Template, TrainOptions, TrainSummary
from consumers.trainer.record.metrics import StepLine, TrainingLine
from consumers.trainer.record.output_capture import capture_output
from consumers.trainer.record.reporting import Reporting
from consumers.trainer.record.session_counts import SessionCounts
from consumers.trainer.record.window_log import LoggedTraining, read_logged
from consumers.trainer.result import checkpoint
from consumers.trainer.result.seal import Seal
from consumers.trainer.session import Session
from consumers.trainer.stop_signals import sole_user, stop_signals
from infra import precision
from infra.log.record import Record
from infra.log.run import read_run
from infra.log.writer import LogWriter
from infra.settings import Settings
from infra.visible import visible
from schemas.events import Instruction, StepLogged
from schemas.policy import Policy
from streams.core.batches import clusters_of_rank

__all__ = ["TrainOptions", "TrainSummary", "train"]

Say = Callable[[str], None]


def train(
    options: TrainOptions,
    settings: Settings,
    *,
    on_step: Callable[[StepLogged], None] | None = None,
    on_line: Callable[[StepLine], None] | None = None,
    say: Say | None = None,
) -> TrainSummary:
    """Train on a run's kept rows and log each window; goes on from the last checkpoint in the output folder.

    `on_step` and `on_line` are called after each step, with what goes to the log and what goes to metrics.jsonl; `say`
    with lines for people (default: standard error); all in the first rank only. Run it in the main thread of a process
    of its own: it takes SIGTERM and SIGINT, sets torch's threads, and keeps memory it once used. Several processes
    (`launch`, or another launcher) each call it and train together.

    Raises RunError, TopicMismatch, BrokerError, ConfigurationError, and TrainerError for a trainee, a checkpoint or a
    training log that cannot be used.
    """
    cpu.passive_threads()
    rank, ranks, _ = place()
    say = (say or _to_stderr) if rank == 0 else _to_nobody
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        writer = LogWriter(settings, options.run, "trainer") if options.write_log and options.from_log else None
        if writer is not None:
            stack.enter_context(writer)
        origin = _origin(options, settings, writer, say)
        stack.callback(origin.feed.close)
        output = options.output or settings.state_dir / origin.run
        if rank == 0:
            stack.enter_context(sole_user(output))
        clusters_of_rank(rank, ranks, origin.policy.clusters)  # refuses what does not divide before anything is loaded
        name = model_name(options.model, options.layers, options.lora_rank)
        logged = LoggedTraining({}, None) if writer is None else read_logged(settings, options.run, name)
        log_file = output / ("deepspeed.log" if rank == 0 else f"deepspeed-{rank}.log")
        with capture_output(log_file):
            tokenizer = load_tokenizer(options.model)
            template = choose_template(tokenizer, options.template)
            device = pick_device(options.device)
            world = joined(device)
            resolved, why = _precision(options, output, device, world)
            options = replace(options, precision=resolved)
            with world.lost_is_told():
                engine = _engine(options, resolved, origin.policy, tokenizer, log_file, device, world, say)
        stack.callback(engine.close)
        if why is not None:
            say(f"Training in {resolved}: {why}.")  # not above, where all that is said goes to the log file
        stream = RowStream(
            origin.feed,
            world,
            origin.policy.clusters,
            origin.policy.batch_size,
            StreamEnds(
                options.last_batch, options.borrow_after_s, origin.policy.window_steps * origin.policy.batch_size
            ),
            encode=lambda row: encode(row, tokenizer, template, options.max_length),
            say=say,
        )
        stack.callback(stream.close)
        account = Reporting(
            output=output,
            clusters=origin.policy.clusters,
            training=TrainingLine(run=origin.run, model=name),
            world=world,
            fresh=options.fresh,
            tensorboard=options.tensorboard,
            held_out=_held_out(options, tokenizer, template, world, say),
            eval_every=options.eval_every,
            measure=engine.measure,
            say=say,
            on_line=on_line or (lambda line: None),
        )
        stack.callback(account.close)
        session = Session(
            options=options,
            run=origin.run,
            policy=origin.policy,
            world=world,
            output=output,
            name=name,
            seal=Seal.of(settings.state_dir, trusts_all=options.trust_checkpoint),
            template=template,
            tokenizer=tokenizer,
            engine=engine,
            stream=stream,
            writer=writer if world.is_first else None,
            logged=logged,
            counts=SessionCounts(),
            account=account,
            stop=stop,
            say=say,
            expected_steps=origin.steps(options.epochs),
        )
        session.begin()
        return session.loop(on_step if on_step is not None and world.is_first else lambda step: None)


def _origin(options: TrainOptions, settings: Settings, writer: LogWriter | None, say: Say) -> OfflineSource:
    """Where the rows come from."""
    if options.data is not None:
        return from_file(options.data, options.batch_size, say)
    if options.from_files is not None:
        return from_archive(options.from_files, options.batch_size)
    policy = with_batch_size(read_run(settings, options.run)[0].policy, options.batch_size)
    feed = LogFeed(
        settings,
        options.run,
        policy.clusters,
        until_end=options.until_end or options.offline,
        dead_letter=lambda record: _dead_letter(record, writer),
        threshold=None if options.min_score is None else ScoreThreshold(options.min_score, options.judge),
    )
    return OfflineSource(options.run, policy, None, feed)


def _held_out(
    options: TrainOptions, tokenizer: Any, template: Template, world: ProcessGroup, say: Say
) -> HeldOut | None:
    if options.eval_file is None:
        return None

    def encoded(row: Instruction) -> EncodedRow:
        return encode(row, tokenizer, template, options.max_length)

    return HeldOut.read(options.eval_file, options.eval_rows, encoded, world, say)


def _precision(options: TrainOptions, output: Path, device: str, world: ProcessGroup) -> tuple[Precision, str | None]:
    """The precision that is trained in (all ranks), and why it is when the options do not name it."""
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.precision != "auto":
        return options.precision, None
    chosen: tuple[Precision, str] | None = None
    if world.is_first:
        before = None if options.fresh else checkpoint.last_settings(output / checkpoint.FOLDER)
        if before is None:
            found = precision.choose(device, training=True)
            chosen = "bf16" if found.precision == "bf16" else "fp32", found.reason
        else:
            chosen = "fp32" if before.get("precision") == "fp32" else "bf16", "so was the checkpoint"
    chosen = world.broadcast(chosen)
    assert chosen is not None
    return chosen


def _engine(
    options: TrainOptions,
    resolved: Precision,
    policy: Policy,
    tokenizer: Any,
    log_file: Path,
    device: str,
    world: ProcessGroup,
    say: Say,
) -> Engine:
    import torch

    torch.manual_seed(options.rng_seed)
    heap = cpu.keep_freed_memory() if device == "cpu" else None
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    trainee = load_model_and_tokenizer(options.model, resolved, options.layers)
    share = policy.batch_size // world.size
    engine = Engine(
        trainee if options.lora is None else adapted(trainee, options.lora),
        precision=resolved,
        device=device,
        zero_stage=options.zero_stage,
        weight_decay=options.weight_decay,
        clip=options.clip,
        micro_batch=min(options.micro_batch or share, share),
        pad_token=pad or 0,
        log_file=log_file,
        world=world,
        activation_checkpointing=options.activation_checkpointing,
        say=say,
        heap=heap,
    )
    torch.manual_seed(options.rng_seed + world.rank)  # the same weights on every rank, each its own dropout
    return engine


def _dead_letter(record: Record, writer: LogWriter | None) -> str:
    if writer is None:
        return "passed over"
    writer.dead_letter(record)
    return "put on the dead letters"


def _to_stderr(line: str) -> None:
    sys.stderr.write(visible(line) + "\n")


def _to_nobody(line: str) -> None:
    """What is to be said the first rank says."""
