"""Keeps the chatter of DeepSpeed, torch and transformers out of the terminal: it goes to a file, warnings included.

DeepSpeed tries the linker when it is imported, and what that says comes from another process: so the file takes the
place of the file descriptors 1 and 2 themselves, for all threads of this process, while the block lasts.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

_TALKATIVE = ("DeepSpeed", "transformers", "torch", "accelerate")


@contextmanager
def capture_output(log_file: Path) -> Iterator[None]:
    """While this holds, all output of the process goes to the end of `log_file`; exceptions still rise."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("a", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        loggers = [logging.getLogger(name) for name in _TALKATIVE]
        before = [(logger, list(logger.handlers), logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.handlers, logger.propagate = [handler], False
        sys.stdout.flush()
        sys.stderr.flush()
        terminal = os.dup(1), os.dup(2)
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with redirect_stdout(file), redirect_stderr(file), warnings.catch_warnings():
                warnings.simplefilter("default")
                yield
        finally:
            file.flush()
            for number, kept in enumerate(terminal, start=1):
                os.dup2(kept, number)
                os.close(kept)
            for logger, handlers, propagate in before:
                logger.handlers, logger.propagate = handlers, propagate
