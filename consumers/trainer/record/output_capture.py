"""Writes what DeepSpeed, torch and transformers print into a file, warnings included, instead of the terminal.

DeepSpeed runs the linker when it is imported, which prints from another process. So file descriptors 1 and 2 themselves
are redirected, for all threads of this process, within the block.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

_LOGGERS = ("DeepSpeed", "transformers", "torch", "accelerate")


@contextmanager
def capture_output(log_file: Path) -> Iterator[None]:
    """Append all output of the process to `log_file` within the block. Exceptions pass."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("a", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        loggers = [logging.getLogger(name) for name in _LOGGERS]
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
