"""One rank that `launch` has started: `python -m consumers.trainer.distributed.rank_process OPTIONS CHANNEL`, and what
it tells.

OPTIONS are TrainOptions as JSON; CHANNEL is the file descriptor that messages are written to, one a line. Everything
else it prints is for its log.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from consumers.trainer.options import TrainOptions, TrainSummary
from consumers.trainer.record.metrics import StepLine
from schemas.errors import SediError
from schemas.events import StepLogged


class RankLine(msgspec.Struct, frozen=True, tag=True):
    """A line for people."""

    line: str


class RankStep(msgspec.Struct, frozen=True, tag=True):
    """A step was made."""

    step: StepLogged


class RankMetrics(msgspec.Struct, frozen=True, tag=True):
    """What metrics.jsonl has of a step."""

    line: StepLine


class RankEnded(msgspec.Struct, frozen=True, tag=True):
    """It ended as it should."""

    summary: TrainSummary


class RankFailed(msgspec.Struct, frozen=True, tag=True):
    """It ended with an error; `lost`: because another rank was gone, `permanent`: and would again."""

    message: str
    lost: bool
    permanent: bool = False


RankMessage = RankLine | RankStep | RankMetrics | RankEnded | RankFailed


def encoded(value: RankMessage | TrainOptions) -> bytes:
    """As JSON in one line."""
    return msgspec.json.encode(value, enc_hook=_from_path)


def message_of(line: bytes) -> RankMessage:
    """A message that a rank has written."""
    message: RankMessage = msgspec.json.decode(line, type=RankMessage, dec_hook=_to_path)
    return message


def main(arguments: list[str]) -> int:
    """Train as a rank; the exit code."""
    from infra.machine.supervisor import die_with_parent
    from infra.settings import load
    from infra.visible import visible, visible_logs

    die_with_parent()
    visible_logs()
    options = msgspec.json.decode(arguments[0], type=TrainOptions, dec_hook=_to_path)
    channel = int(arguments[1])

    def tell(message: RankMessage) -> None:
        with suppress(BrokenPipeError):  # whoever listened has died; we are told to stop
            left = encoded(message) + b"\n"
            while left:
                left = left[os.write(channel, left) :]

    from consumers.trainer.distributed.process_group import RankLost
    from consumers.trainer.run import train

    try:
        summary = train(
            options,
            load(),
            on_step=lambda step: tell(RankStep(step)),
            on_line=lambda line: tell(RankMetrics(line)),
            say=lambda line: tell(RankLine(line)),
        )
    except SediError as error:
        tell(RankFailed(str(error), isinstance(error, RankLost), error.permanent))
        sys.stderr.write(f"sedi: {visible(str(error))}\n")
        return 1
    tell(RankEnded(summary))
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
