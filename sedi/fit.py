"""Lays a run of the built-in models out for the machine it is on: measure, then choose what ends in time.

    python -m sedi.fit --state-dir var --cache-dir .cache      the speeds of this machine, as JSON

The trial runs in a process of its own, so that torch does not stay in the memory of the one that watches the run.
What was chosen is kept beside the run's checkpoints, and a run that goes on goes on with it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from infra.settings import Settings
from schemas.errors import RunError
from schemas.policy import Policy
from sedi.run_options import RunOptions, policy_of

BATCH_SIZES = (4, 2)
LAYERS = (1.0, 0.8, 0.6, 0.4, 0.25, 0.15)
"""Shares of the trainee's layers that may be trained, the most first."""

_FILE = "layout.json"
_TOKENS_TRAINED, _TOKENS_WRITTEN = 90, 60  # of a kept row, as the built-in model writes them
_SPARE_ROWS = 1.25  # rows that are written for each that is trained
_SHARED = 0.7  # speed of each side while the other one is at work
_HEAD_LAYERS = 8.0  # layers that cost as much as the output layer
_AROUND_S = 45.0  # starting and ending
_STEP_S = 0.5  # of the optimizer and the log
_TRIAL_S = 120.0


class Speeds(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens a second of the LLM, and of the trainee with all its `layers` in the precision that is faster here."""

    llm_tokens_per_s: float
    trainee_tokens_per_s: float
    layers: int
    precision: str
    reason: str


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen: rows a step, layers that are trained, and how long it should take."""

    speeds: Speeds
    batch_size: int
    layers: int
    seconds: float

    def __str__(self) -> str:
        trained = "all" if self.layers == self.speeds.layers else f"the first {self.layers} of"
        return (
            f"Measured: the LLM writes {self.speeds.llm_tokens_per_s:.0f} tokens/s, the trainee takes "
            f"{self.speeds.trainee_tokens_per_s:.0f} in {self.speeds.precision} ({self.speeds.reason}). Chosen: "
            f"{self.batch_size} rows a step, {trained} {self.speeds.layers} layers; that takes about "
            f"{self.seconds / 60:.1f} minutes"
        )


def lay_out(speeds: Speeds, steps: int, target_s: float, batch_sizes: Sequence[int] = BATCH_SIZES) -> Layout:
    """The most that ends in `target_s`: rows a step first, then layers. The least when nothing does."""
    found = [
        Layout(speeds=speeds, batch_size=batch_size, layers=layers, seconds=_seconds(speeds, steps, batch_size, layers))
        for batch_size in batch_sizes
        for layers in dict.fromkeys(max(1, round(share * speeds.layers)) for share in LAYERS)
    ]
    return next((layout for layout in found if layout.seconds <= target_s), found[-1])


def _seconds(speeds: Speeds, steps: int, batch_size: int, layers: int) -> float:
    rows = steps * batch_size
    writing = _SPARE_ROWS * rows * _TOKENS_WRITTEN / (speeds.llm_tokens_per_s * _SHARED)
    share = (layers + _HEAD_LAYERS) / (speeds.layers + _HEAD_LAYERS)
    training = rows * _TOKENS_TRAINED * share / (speeds.trainee_tokens_per_s * _SHARED) + steps * _STEP_S
    return _AROUND_S + max(writing, training)


def fit(options: RunOptions, settings: Settings, run: str, say: Callable[[str], None]) -> RunOptions:
    """The options with what `fit_s` asks to be chosen; those that say it themselves stay as they are.

    Raises RunError when the trial fails.
    """
    own_models = settings.backend == "builtin" and options.trainer and not {"--model", "--layers"} & {*options.train}
    if options.fit_s is None or options.windows is None or not own_models:
        return options
    chooses = not {"batch_size", "clusters"} & options.policy.keys()
    said = Policy() if chooses else policy_of(options)
    sizes = BATCH_SIZES if chooses else (said.batch_size,)
    path = settings.state_dir / run / _FILE
    if path.is_file():
        layout = msgspec.json.decode(path.read_bytes(), type=Layout)
    else:
        say("Measuring what this machine can do (some 15 s)")
        layout = lay_out(_trial(settings), options.windows * said.window_steps, options.fit_s, sizes)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(layout))
        say(str(layout))
    policy = options.policy | ({"clusters": layout.batch_size, "batch_size": layout.batch_size} if chooses else {})
    fewer = () if layout.layers == layout.speeds.layers else ("--layers", str(layout.layers))
    return msgspec.structs.replace(options, policy=policy, train=(*options.train, *fewer))


def _trial(settings: Settings) -> Speeds:
    arguments = ["--cache-dir", str(settings.cache_dir.resolve())]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sedi.fit", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRIAL_S, check=True,
        )  # fmt: skip
        return msgspec.json.decode(done.stdout, type=Speeds)
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise RunError(
            f"This machine could not be measured: {said[-1] if said else error}. `sedi doctor` says what is missing; "
            "without measuring: `sedi run --windows 3`."
        ) from error


def main() -> None:
    """The trial."""
    parser = argparse.ArgumentParser(prog="python -m sedi.fit", description="The speeds of this machine, as JSON.")
    parser.add_argument("--cache-dir", type=Path, required=True)
    cache_dir = parser.parse_args().cache_dir

    from consumers.trainer.speed import trainee_speed
    from producers.builtin.model import safetensors_folder
    from producers.builtin.server import BuiltinServer, ServerSettings
    from producers.builtin.speed import llm_speed

    with tempfile.TemporaryDirectory() as folder:
        with BuiltinServer(ServerSettings(state_dir=Path(folder), cache_dir=cache_dir)) as server:
            written = llm_speed(server)
        trainee = trainee_speed(str(safetensors_folder(cache_dir)))
    speeds = Speeds(
        llm_tokens_per_s=written,
        trainee_tokens_per_s=trainee.tokens_per_s,
        layers=trainee.layers,
        precision=trainee.precision,
        reason=trainee.reason,
    )
    sys.stdout.buffer.write(msgspec.json.encode(speeds) + b"\n")


if __name__ == "__main__":
    main()
