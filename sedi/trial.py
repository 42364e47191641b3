"""The speeds of the LLM and the trained model on this machine, measured at the same time, as in a run.

    python -m sedi.trial --cache-dir .cache --llm      the speeds, as JSON

It is a process of its own, so that torch does not stay in the memory of the process that watches the run.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path

import msgspec

from infra.distribution import python_module
from infra.machine.supervisor import child_environment, die_with_parent
from infra.settings import Settings
from schemas.errors import SediError
from schemas.seeds import parse_seed_lines
from sedi.run_options import RunOptions


class Speeds(msgspec.Struct, frozen=True, kw_only=True):
    """Speeds of the LLM and the trained model, measured at the same time.

    llm_tokens_per_s       generated; None when it does not run on this machine, or is not the built-in one
    trainee_tokens_per_s   forward and backward through all its `layers`, in `precision`, chosen for the `reason`
    update_s               duration of an optimizer step
    """

    llm_tokens_per_s: float | None
    trainee_tokens_per_s: float
    update_s: float
    layers: int
    precision: str
    reason: str


def uses_builtin(options: RunOptions, settings: Settings) -> bool:
    """Whether the run's LLM is the built-in one, served by its generator."""
    others = {"--backend", "--recorded", "--model"} & {*options.asking()}
    return settings.backend == "builtin" and settings.base_url is None and not others


def start_trial(options: RunOptions, settings: Settings) -> subprocess.Popen[bytes]:
    """Start the trial for such a run; its standard output will be `Speeds` as JSON."""
    values = {flag: _value(options.train, f"--{flag}") for flag in ("model", "precision", "threads", "device")}
    arguments = [f"--{flag}={value}" for flag, value in values.items() if value is not None]
    if uses_builtin(options, settings):
        arguments.append("--llm")
    return subprocess.Popen(
        python_module("sedi.trial", "--cache-dir", str(settings.cache_dir.resolve()), *arguments),
        env=child_environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _value(arguments: tuple[str, ...], flag: str) -> str | None:
    """The value of a flag among arguments, given as `--flag value` or `--flag=value`."""
    for at, argument in enumerate(arguments):
        if argument == flag and at + 1 < len(arguments):
            return arguments[at + 1]
        if argument.startswith(f"{flag}="):
            return argument.partition("=")[2]
    return None


def main() -> None:
    """Measure the speeds and print them."""
    parser = argparse.ArgumentParser(prog="python -m sedi.trial", description="The speeds of this machine, as JSON.")
    parser.add_argument("--cache-dir", type=Path, required=True)
    parser.add_argument("--llm", action="store_true", help="measure the built-in LLM at the same time")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    die_with_parent()

    from consumers.trainer.engine.speed_trial import TrainingSpeed, measure_training_speed
    from producers.backends.builtin.model import safetensors_folder
    from producers.backends.builtin.server import BuiltinServer, ServerSettings
    from producers.backends.builtin.speed import LlmTrial

    def trainee() -> TrainingSpeed:
        model = str(safetensors_folder(given.cache_dir)) if given.model == "builtin" else given.model
        return measure_training_speed(model, threads=given.threads, device=given.device, wanted=given.precision)

    llm: float | None = None
    if given.llm:
        text = (files("producers") / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8")
        seeds = parse_seed_lines(text.split("\n"), "the project's seed tasks")
        with (
            tempfile.TemporaryDirectory() as folder,
            BuiltinServer(ServerSettings(state_dir=Path(folder), cache_dir=given.cache_dir)) as server,
            LlmTrial(server, [seed.instruction for seed in seeds]) as trial,
        ):
            start = time.monotonic() + 1.0  # the first answers begin with their prompts
            found = trainee()
            llm = trial.tokens_per_s(start)
    else:
        found = trainee()
    speeds = Speeds(
        llm_tokens_per_s=llm,
        trainee_tokens_per_s=found.tokens_per_s,
        update_s=found.update_s,
        layers=found.layers,
        precision=found.precision,
        reason=found.reason,
    )
    sys.stdout.buffer.write(msgspec.json.encode(speeds) + b"\n")


if __name__ == "__main__":
    try:
        main()
    except SediError as error:
        sys.exit(str(error))
