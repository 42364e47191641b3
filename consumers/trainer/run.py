"""`train`: builds a training from its options, runs it, and saves the model.

A training ends at the end of the rows after the last epoch, at `max_steps` or at `max_windows`, and then saves its
model. SIGTERM and SIGINT stop it with a checkpoint only. torch, transformers and DeepSpeed are imported by `train`.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from consumers.trainer.data.batches import RowStream, StreamEnds
from consumers.trainer.data.log_feed import LogFeed
from consumers.trainer.data.offline import RowSource, from_archive, from_file, with_batch_size
from consumers.trainer.data.row_file import Say, read_rows
from consumers.trainer.data.score_threshold import ScoreThreshold
from consumers.trainer.data.turned_feed import TurnedFeed
from consumers.trainer.data.withdrawn_rows import LiveRanges, WithdrawnRows
from consumers.trainer.distributed.process_group import ProcessGroup, join_process_group, rank_from_environment
from consumers.trainer.engine.deepspeed_setup import EngineConfig
from consumers.trainer.engine.held_out import HeldOut
from consumers.trainer.engine.lora import with_adapters
from consumers.trainer.engine.step import Engine
from consumers.trainer.options import Precision, TrainOptions, TrainSummary, default_output
from consumers.trainer.record.metrics import StepLine, TrainingLine
from consumers.trainer.record.output_capture import capture_output
from consumers.trainer.record.reporting import Reporting
from consumers.trainer.record.window_log import LoggedTraining, read_logged
from consumers.trainer.result.checkpoint import FOLDER, Checkpoints, last_settings
from consumers.trainer.result.seal import Seal
from consumers.trainer.session import Session, SessionParts
from consumers.trainer.session_state import SessionConfig
from consumers.trainer.stop_signals import sole_user, stop_signals
from infra.log.record import Record
from infra.log.run import read_run
from infra.log.writer import LogWriter
from infra.metrics.declared import TRAINER
from infra.models import cpu, precision
from infra.models.device import pick_device
from infra.models.loading import load_model, load_tokenizer, model_name
from infra.models.templates import choose_template, encode
from infra.observed import Observation, observed
from infra.settings import Settings
from infra.visible import visible
from schemas.events import StepLogged
from streams.core.answering import rows_topic
from streams.core.batches import clusters_of_rank

_STALL_FACTOR = 10.0
"""Times `stall_s` that a step, a checkpoint or an evaluation may take."""


def train(
    options: TrainOptions,
    settings: Settings,
    *,
    on_step: Callable[[StepLogged], None] | None = None,
    on_line: Callable[[StepLine], None] | None = None,
    expect: Callable[[int | None], None] | None = None,
    say: Say | None = None,
) -> TrainSummary:
    """Train on a run's kept rows and log each window; resumes from the last checkpoint in the output folder.

    Called in the first rank only: `on_step` and `on_line` after each step, with its entry on the log and its line of
    metrics.jsonl; before them `expect`, with about how many steps there will be in all (None: unknown); `say` with
    lines to print (default: standard error). Run it in the main thread of a process of its own: it handles SIGTERM and
    SIGINT, sets torch's threads, and keeps freed memory. To train with several ranks, each process calls it
    (`launcher`, or another launcher).

    Raises RunError, TopicMismatch, BrokerError, ConfigurationError, and TrainerError for a model, a checkpoint or a
    training log that cannot be used.
    """
    cpu.passive_threads()
    rank, size, _ = rank_from_environment()
    say = (say or _to_stderr) if rank == 0 else lambda line: None  # only the first rank prints
    with _observed(options, settings, rank, say), ExitStack() as stack:
        stop = stack.enter_context(stop_signals())
        writer = LogWriter(settings, options.run, "trainer") if options.writes_windows else None
        if writer is not None:
            stack.enter_context(writer)
        source = _open_source(options, settings, writer, say)
        stack.callback(source.feed.close)
        policy = source.policy
        output = options.output or default_output(options.task, settings.state_dir, source.run)
        if rank == 0:
            stack.enter_context(sole_user(output))
        clusters_of_rank(rank, size, policy.clusters)  # fails before anything is loaded if it does not divide
        name = model_name(options.model, options.layers, options.lora_rank)
        logged = LoggedTraining({}, None) if writer is None else read_logged(settings, options.run, name)
        log_file = output / ("deepspeed.log" if rank == 0 else f"deepspeed-{rank}.log")
        with capture_output(log_file):
            tokenizer = load_tokenizer(options.model)
            template = choose_template(tokenizer, options.template)
            device = pick_device(options.device)
            group = join_process_group(device)
            resolved, why = _precision(options, output, device, group)
            config = SessionConfig(
                options=replace(options, precision=resolved),
                run=source.run,
                policy=policy,
                model=name,
                template=template,
                output=output,
                processes=group.size,
                expected_steps=source.steps(options.epochs),
            )
            pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
            rows_of_rank = policy.batch_size // group.size
            engine_config = EngineConfig(
                precision=resolved,
                device=device,
                zero_stage=options.zero_stage,
                weight_decay=options.weight_decay,
                clip=options.clip,
                micro_batch=min(options.micro_batch or rows_of_rank, rows_of_rank),
                pad_token=pad or 0,
                log_file=log_file,
                activation_checkpointing=options.activation_checkpointing,
            )
            with group.detect_lost_rank():
                engine = _make_engine(options, engine_config, group, say)
        stack.callback(engine.close)
        if why is not None:
            say(f"Training in {resolved}: {why}.")  # not in the block above, whose output goes to the log file
        encode_row = partial(encode, tokenizer=tokenizer, template=template, max_length=options.max_length)
        withdrawn = WithdrawnRows(source.log, group)
        stack.callback(withdrawn.close)
        stream = RowStream(
            source.feed,
            group,
            policy.clusters,
            policy.batch_size,
            StreamEnds(options.last_batch, options.borrow_after_s, policy.window_steps * policy.batch_size),
            encode=encode_row,
            say=say,
            withdrawn=withdrawn,
        )
        stack.callback(stream.close)
        held_out = None
        if options.eval_file is not None:
            rows = read_rows(options.eval_file, options.eval_rows, say, options.task)
            held_out = HeldOut(options.eval_file.name, [encode_row(row) for row in rows], group)
        reporting = Reporting(
            output=output,
            clusters=policy.clusters,
            training=TrainingLine(run=source.run, model=name, task=options.task),
            group=group,
            fresh=options.fresh,
            tensorboard=options.tensorboard,
            held_out=held_out,
            eval_every=options.eval_every,
            measure=engine.measure,
            say=say,
            on_line=on_line or (lambda line: None),
            track=options.track,
            config=options.tracked,
        )
        stack.callback(reporting.close)
        checkpoints = Checkpoints(
            folder=output / FOLDER,
            engine=engine,
            group=group,
            seal=Seal.of(settings.state_dir, trust_all=options.trust_checkpoint),
            keep=options.keep_checkpoints,
            say=say,
        )
        parts = SessionParts(
            group=group,
            engine=engine,
            tokenizer=tokenizer,
            stream=stream,
            checkpoints=checkpoints,
            reporting=reporting,
            writer=writer if group.is_first else None,
            logged=logged,
            stop=stop,
            say=say,
        )
        (expect or (lambda steps: None))(_fewest(config.expected_steps, options.max_steps))
        session = Session(config, parts)
        reason = session.train(on_step if on_step is not None and group.is_first else lambda step: None)
        return session.summary(reason, session.save_model() if reason != "stopped" and session.state.step > 0 else None)


def _fewest(*numbers: int | None) -> int | None:
    """The lowest of those that are known."""
    return min((number for number in numbers if number is not None), default=None)


def _observed(options: TrainOptions, settings: Settings, rank: int, say: Say) -> AbstractContextManager[Observation]:
    """Only the first rank has metrics."""
    own = settings if rank == 0 else settings.model_copy(update={"metrics_port": None})
    return observed(
        own, options.run, TRAINER, say=say, stall_factor=_STALL_FACTOR, needs_cluster=options.writes_windows
    )


def _open_source(options: TrainOptions, settings: Settings, writer: LogWriter | None, say: Say) -> RowSource:
    """The rows to train on, turned round for an instruction generator."""
    source = _stored_rows(options, settings, writer, say)
    return source if options.task == "follow" else replace(source, feed=TurnedFeed(source.feed))


def _stored_rows(options: TrainOptions, settings: Settings, writer: LogWriter | None, say: Say) -> RowSource:
    if options.data is not None:
        return from_file(options.data, options.batch_size, say, options.task)
    if options.from_files is not None:
        return from_archive(options.from_files, options.batch_size)
    policy = with_batch_size(read_run(settings, options.run)[0].policy, options.batch_size)
    feed = LogFeed(
        settings,
        options.run,
        policy.clusters,
        topic=rows_topic(policy),
        until_end=options.until_end or options.offline,
        await_answers=not options.offline,
        dead_letter=lambda record: _dead_letter(record, writer),
        threshold=None if options.min_score is None else ScoreThreshold(options.min_score, options.judge),
    )
    return RowSource(options.run, policy, None, feed, LiveRanges(settings, options.run))


def _precision(options: TrainOptions, output: Path, device: str, group: ProcessGroup) -> tuple[Precision, str | None]:
    """The precision to train in (all ranks), and the reason unless the options name it."""
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.precision != "auto":
        return options.precision, None
    chosen: tuple[Precision, str] | None = None
    if group.is_first:
        before = None if options.fresh else last_settings(output / FOLDER)
        if before is None:
            found = precision.choose(device, training=True)
            chosen = "bf16" if found.precision == "bf16" else "fp32", found.reason
        else:
            chosen = "fp32" if before.get("precision") == "fp32" else "bf16", "so was the checkpoint"
    chosen = group.broadcast(chosen)
    assert chosen is not None
    return chosen


def _make_engine(options: TrainOptions, config: EngineConfig, group: ProcessGroup, say: Say) -> Engine:
    import torch

    torch.manual_seed(options.rng_seed)
    heap = cpu.keep_freed_memory() if config.device == "cpu" else None
    model = load_model(options.model, config.precision, options.layers)
    if options.lora is not None:
        model = with_adapters(model, options.lora)
    engine = Engine(model, config, group=group, say=say, heap=heap)
    torch.manual_seed(options.rng_seed + group.rank)  # the same weights on every rank, but its own dropout
    return engine


def _dead_letter(record: Record, writer: LogWriter | None) -> str:
    if writer is None:
        return "skipped"
    writer.dead_letter(record)
    return "put on the dead letters"


def _to_stderr(line: str) -> None:
    sys.stderr.write(visible(line) + "\n")
