"""The installed program: its name on the package index, its version, and the parts that can be left out of it.

The core reads runs: report, replay, explain, export, tail. A part is an extra of the distribution (`pyproject.toml`
lists its packages) for a command that does more. `require` is for a command that is about to start processes or long
work; where an import is what fails, `sedi.main` looks the module up with `part_of` and prints the same sentence.
"""

import sys
from importlib.util import find_spec

from schemas.errors import ConfigurationError

NAME = "sedi-instruct"
VERSION = "0.1.0"

PARTS = {
    "run": ("faust", "openai", "prometheus_client"),
    "train": (
        *("accelerate", "deepspeed", "matplotlib", "peft", "prometheus_client", "safetensors", "tensorboard", "torch"),
        "transformers",
    ),
    "local": ("gguf", "safetensors", "torch", "transformers", "xllamacpp"),
    "plot": ("matplotlib",),
    "eval": ("datasets", "lm_eval", "safetensors", "torch", "transformers"),
    "web": ("prometheus_client", "starlette", "uvicorn"),
    "trace": ("opentelemetry",),
    "documents": ("lxml_html_clean", "nupunkt", "py3langid", "pypdf", "rensa", "trafilatura"),
}
"""The modules that each part brings and the core does not have."""

TRACKERS = {"mlflow": ("mlflow",), "wandb": ("wandb",), "trackio": ("trackio",)}
"""Parts for `train --track`. Each brings many packages, so they are neither in `all` nor pinned."""

_SMALLEST_LAST = ("eval", "train", "local", "plot", "run", "web", "documents", "trace")
_BY_MODULE = {module: part for part in _SMALLEST_LAST for module in PARTS[part]} | {"mode": "run"}
_BY_MODULE |= {module: part for part, modules in TRACKERS.items() for module in modules}


def part_of(module: str) -> str | None:
    """The smallest part that brings a module; None for one of the core, or none of ours."""
    return _BY_MODULE.get(module.partition(".")[0])


def require(part: str, what: str) -> None:
    """Raise ConfigurationError, saying how to install the part, when `what` needs one that is not there."""
    missing = [module for module in (PARTS | TRACKERS)[part] if module not in sys.modules and find_spec(module) is None]
    if missing:
        raise ConfigurationError(not_installed(part, what, missing[0]))


def not_installed(part: str, what: str, module: str) -> str:
    """The sentence for a part that is not there."""
    return f"{what} needs the part [{part}], which is not installed (no module {module}): pip install '{NAME}[{part}]'"


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules in a process of its own, with this Python.

    `-P`: the working directory is not searched for modules, so a folder there named as one of ours is not taken for it.
    """
    return [sys.executable, "-P", "-m", name, *arguments]
