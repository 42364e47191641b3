"""This program after an update: it knows a further version of two events, and how to read the one before."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from schemas import registry
from schemas.registry import SPECS
from schemas.upcasting import UPCASTERS

NAMES = ("InstructionsGenerated", "TrainingLogged")


def install(put: Callable[[dict[Any, Any], Any, Any], None] = dict.__setitem__) -> None:
    """Register the further versions; `put` may be a test's `monkeypatch.setitem`, which takes them back."""
    for name in NAMES:
        version = SPECS[name].version
        spec = replace(SPECS[name], version=version + 1)
        put(SPECS, name, spec)
        put(registry._BY_CLASS, spec.cls, spec)
        put(UPCASTERS, (name, version), dict)
