"""One rank that the launcher has started, and the messages that it sends back.

    python -m consumers.trainer.distributed.rank_process OPTIONS CHANNEL

OPTIONS are TrainOptions as JSON. CHANNEL is the file descriptor that messages are written to, one JSON line each. All
other output goes to the rank's log file.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from consumers.trainer.options import TrainOptions, TrainSummary
from consumers.trainer.record.metrics import StepLine
from schemas.errors import RankLost, SediError
from schemas.events import StepLogged


class RankLine(msgspec.Struct, frozen=True, tag=True):
    """A line to print."""

    line: str


class RankStep(msgspec.Struct, frozen=True, tag=True):
    """A step is done."""

    step: StepLogged


class RankMetrics(msgspec.Struct, frozen=True, tag=True):
    """A step's line of metrics.jsonl."""

    line: StepLine


class RankEnded(msgspec.Struct, frozen=True, tag=True):
    """The training has ended without an error."""

    summary: TrainSummary


class RankFailed(msgspec.Struct, frozen=True, tag=True):
    """The training has ended with an error.

    lost        another rank had died
    permanent   the same training would fail in the same way again
    """

    message: str
    lost: bool
    permanent: bool = False


RankMessage = RankLine | RankStep | RankMetrics | RankEnded | RankFailed


def encode_message(value: RankMessage | TrainOptions) -> bytes:
    """The value as JSON in one line."""
    return msgspec.json.encode(value, enc_hook=_from_path)


def decode_message(line: bytes) -> RankMessage:
    """The message in a line that a rank has written."""
    message: RankMessage = msgspec.json.decode(line, type=RankMessage, dec_hook=_to_path)
    return message


def main(arguments: list[str]) -> int:
    """Train as one rank; returns the exit code."""
    from infra.machine.supervisor import die_with_parent
    from infra.settings import load
    from infra.visible import visible, visible_logs

    die_with_parent()
    visible_logs()
    options = msgspec.json.decode(arguments[0], type=TrainOptions, dec_hook=_to_path)
    channel = int(arguments[1])

    def send(message: RankMessage) -> None:
        with suppress(BrokenPipeError):  # the launcher has died, and this process is about to be ended
            unsent = encode_message(message) + b"\n"
            while unsent:
                unsent = unsent[os.write(channel, unsent) :]

    from consumers.trainer.run import train

    try:
        summary = train(
            options,
            load(),
            on_step=lambda step: send(RankStep(step)),
            on_line=lambda line: send(RankMetrics(line)),
            say=lambda line: send(RankLine(line)),
        )
    except SediError as error:
        send(RankFailed(str(error), isinstance(error, RankLost), error.permanent))
        sys.stderr.write(f"sedi: {visible(str(error))}\n")
        return 1
    send(RankEnded(summary))
    return 0


def _from_path(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON here")


def _to_path(wanted: type, value: Any) -> Any:
    if issubclass(wanted, Path):
        return Path(value)
    raise NotImplementedError(f"{wanted.__name__} has no form in JSON here")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
