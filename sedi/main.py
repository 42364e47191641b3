"""The command `sedi`: its sub-commands, and the one place where errors and signals become exit codes.

Every expected error is a `SediError` and is printed as its one sentence, without a traceback; so is a package that is
missing because its part is not installed (`infra.distribution`). Anything else is a fault of this program and shows a
traceback. Ctrl-C, SIGTERM and SIGHUP end a command through the same clean-up. A reader that goes away
(`sedi tail | head`) is no error.
"""

import os
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from infra.distribution import not_installed, part_of
from infra.visible import visible, visible_logs
from schemas.errors import BrokerError, ConfigurationError, SediError, TooManyDeadLetters, TopicMismatch
from sedi import (
    answer,
    archive,
    broker,
    chat,
    configure,
    corpus,
    dlq,
    doctor,
    explain,
    export,
    generate,
    init,
    judge,
    preview,
    replay,
    report,
    run_command,
    runs,
    seeds,
    status,
    tail,
    topics,
    train,
    web,
    withdraw,
    worker,
)
from sedi import eval as evaluation
from sedi.options import EXIT_CODES, ExitCode
from sedi.output import escape_unencodable, print_error

_COMMANDS = (
    run_command.run_command,
    preview.preview_command,
    configure.configure_command,
    worker.worker,
    corpus,
    generate.generate_command,
    init.init_command,
    answer.answer_command,
    judge.judge_command,
    train.train_command,
    evaluation,
    chat.chat,
    status.status,
    tail.tail,
    web.web,
    report.report,
    replay.replay,
    explain.explain_command,
    export,
    withdraw.withdraw_command,
    seeds,
    archive.archive,
    archive.restore,
    topics,
    runs,
    dlq,
    broker,
    doctor.doctor,
)


class CommandGroup(TyperGroup):
    """The group of all commands; ends quietly when whoever reads our output has gone.

    What it quotes of wrong arguments steers no terminal: they may come from a file, or from a log.
    """

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _quoted_visibly():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _quoted_visibly():
                return super().invoke(ctx)
        except BrokenPipeError:
            _drop_output()
            raise typer.Exit(ExitCode.OK) from None


@contextmanager
def _quoted_visibly() -> Iterator[None]:
    try:
        yield
    except TyperException as error:
        error.message = visible(error.message)
        raise


def build() -> typer.Typer:
    """The application with every command registered."""
    app = typer.Typer(
        name="sedi",
        cls=CommandGroup,
        help="Instruction data from an LLM, a filter and a trainer that steer one another over one replayable log.",
        epilog=f"Example:\n\n  sedi report --run demo --json\n\n{EXIT_CODES}",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    for command in _COMMANDS:
        command.register(app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    escape_unencodable()
    visible_logs()
    if "SEDI_SUPERVISOR_PID" in os.environ:
        # Imported here only: it loads the settings, and `sedi --help` is to come at once.
        from infra.machine.supervisor import die_with_parent

        die_with_parent()
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _interrupt)}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks to go on
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, _hung_up)
    try:
        get_command(build()).main(args=arguments, prog_name="sedi")
    except SystemExit as end:
        return _flushed(end.code if isinstance(end.code, int) else ExitCode.FAILED)
    except KeyboardInterrupt:  # in the moments before and after a command
        return ExitCode.INTERRUPTED
    except SediError as error:
        print_error(str(error))
        return exit_code_of(error)
    except ModuleNotFoundError as error:
        part = part_of(error.name or "")
        if part is None:
            raise
        print_error(not_installed(part, "This command", str(error.name)))
        return ExitCode.USAGE
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return _flushed(ExitCode.OK)


def exit_code_of(error: SediError) -> ExitCode:
    """The exit code that an error is reported by."""
    if isinstance(error, ConfigurationError):
        return ExitCode.USAGE
    if isinstance(error, TooManyDeadLetters):
        return ExitCode.DEAD_LETTERS
    if error.permanent:
        return ExitCode.REFUSED
    if isinstance(error, BrokerError) and not isinstance(error, TopicMismatch):
        return ExitCode.UNREACHABLE
    return ExitCode.FAILED


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _hung_up(number: int, frame: FrameType | None) -> None:
    """The terminal was closed: end as by SIGTERM, whatever that does at this moment, and write to it no more."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        with suppress(OSError):  # it may have been closed
            if stat.S_ISCHR(os.fstat(stream).st_mode):  # a terminal that is gone is none to `isatty` any more
                os.dup2(nowhere, stream)
    os.close(nowhere)
    os.kill(os.getpid(), signal.SIGTERM)


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    return code


def _drop_output() -> None:
    """Let what is still in the buffer go nowhere instead of failing again when Python ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
