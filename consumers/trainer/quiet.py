"""Keeps the chatter of DeepSpeed, torch and transformers out of the terminal: it goes to a file, warnings included."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

_TALKATIVE = ("DeepSpeed", "transformers", "torch", "accelerate")


@contextmanager
def talk_to(log_file: Path) -> Iterator[None]:
    """While this holds, Python-level output of these libraries goes to the end of `log_file`; exceptions still rise."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with log_file.open("a", encoding="utf-8") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        loggers = [logging.getLogger(name) for name in _TALKATIVE]
        before = [(logger, list(logger.handlers), logger.propagate) for logger in loggers]
        for logger in loggers:
            logger.handlers, logger.propagate = [handler], False
        try:
            with redirect_stdout(file), redirect_stderr(file), warnings.catch_warnings():
                warnings.simplefilter("default")
                yield
        finally:
            for logger, handlers, propagate in before:
                logger.handlers, logger.propagate = handlers, propagate
