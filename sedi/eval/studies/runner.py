"""Runs a study's commands one by one, each as a user would type it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from infra.distribution import python_module
from infra.machine.supervisor import PARENT
from infra.settings import Settings, environment_of
from schemas.errors import RunError
from sedi.eval.studies.plans import StudyStep

_GRACE_S = 30.0  # for a command that is told to stop


def run_steps(steps: Sequence[StudyStep], settings: Settings, say: Callable[[str], None]) -> float:
    """Run them all; returns the seconds they took. Their output goes to standard error.

    Raises RunError when one fails: a study that is started again continues with it.
    """
    started = time.monotonic()
    for number, step in enumerate(steps, start=1):
        say(f"[{number}/{len(steps)}] {step.title}\n    sedi {shlex.join(step.arguments)}")
        begun = time.monotonic()
        code = _run(step, settings)
        if code:
            raise RunError(
                f"Step {number} of the study failed with exit code {code}: sedi {shlex.join(step.arguments)}. What it "
                "printed says why. Start the study again, and it continues there."
            )
        say(f"    done in {time.monotonic() - begun:,.0f} s")
    return time.monotonic() - started


def _run(step: StudyStep, settings: Settings) -> int:
    environment = os.environ | environment_of(settings) | {PARENT: str(os.getpid())}
    process = subprocess.Popen(
        [*python_module("sedi"), *step.arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,  # Ctrl-C reaches it through us alone, once
    )
    try:
        return process.wait()
    except BaseException:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
