"""Runs the command line as a user does, in separate processes, on recorded answers and a tiny model."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from infra.settings import Settings, environment_of

VERBS = ("Explain", "Describe", "Compare", "Summarise", "Name", "List", "Rewrite", "Translate", "Plan", "Criticise")
KINDS = ("in two sentences", "for a child", "as a short poem", "with three examples", "step by step", "as a letter")
NOUNS = (
    "rivers",
    "bread",
    "gravity",
    "violins",
    "taxes",
    "sleep",
    "volcanoes",
    "chess",
    "cotton",
    "glaciers",
    "honey",
    "bridges",
    "dreams",
    "salt",
    "trains",
    "comets",
    "gardens",
    "ink",
    "whales",
    "clocks",
    "maple trees",
    "lanterns",
)


def write_answers(file: Path, count: int, tasks: int = 5, seed: int = 1) -> Path:
    """`count` answers in the shape of the alpaca style, some of whose tasks repeat others; always the same."""
    draw = random.Random(seed)
    lines = []
    for _ in range(count):
        parts = []
        for number in range(4, 4 + tasks):
            what = f"{draw.choice(VERBS)} {draw.choice(NOUNS)} and {draw.choice(NOUNS)} {draw.choice(KINDS)}"
            words = " ".join(draw.choice(NOUNS) for _ in range(draw.randrange(4, 15)))
            parts.append(f"{number}. Instruction: {what}.\n{number}. Input: <noinput>\n{number}. Output: {words}.")
        raw = "\n###\n".join(parts).removeprefix("4. Instruction:")
        usage = {"prompt_tokens": 200, "completion_tokens": 40 * tasks}
        lines.append(json.dumps({"raw": raw, "usage": usage}))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@dataclass(frozen=True)
class Terminal:
    """Runs `sedi` against a broker; `folder` is where the user stands."""

    settings: Settings
    folder: Path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "sedi", *arguments],
            cwd=self.folder,
            env={**os.environ, **environment_of(self.settings), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def terminate(self, process: subprocess.Popen[str]) -> None:
        """SIGTERM: it ends as a command that was interrupted, and its children with it."""
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal.SIGTERM)
        _, output = process.communicate(timeout=90)
        assert process.returncode == 130, output[-3000:]
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive

    def sedi(self, *arguments: str, timeout_s: float = 280, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **environment)
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.terminate()
            out, err = process.communicate(timeout=30)
            raise AssertionError(
                f"sedi {' '.join(arguments)} took over {timeout_s} s; its output:\n{err[-3000:]}"
            ) from None
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def json(self, *arguments: str) -> Any:
        done = self.sedi(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
