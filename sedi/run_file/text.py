"""Writes a run file: every field with a sentence, what it takes and its default, generated from `sedi.run_file.fields`.

A field at its default is a comment line; a field that a preset sets is not. A field without a default is a comment line
without a value.
"""

import re
import textwrap
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from schemas.policy import policy_for
from sedi.run_file.fields import SECTIONS, TOP, RunFileField, fields
from sedi.run_file.values import as_toml

_WIDTH = 118
_HEAD = """\
# A run of sedi. Start it:           sedi run {file}
# Check it, and start nothing:       sedi run {file} --check
# Change one field for one start:    sedi run {file} --set train.lr=1e-5
#
# A field that begins with # has the default that is shown, or is not set. Take the # away to change it. Paths begin at
# the folder that you stand in. Name, policy and seeds are fixed once the run has begun; the rest may change.
"""
_FLAG = re.compile(r"--([a-z][a-z-]*)")


def shipped_presets() -> dict[str, Traversable]:
    """The run files that come with the program, by name."""
    found = {file.name: file for file in (files("sedi") / "presets").iterdir() if file.name.endswith(".toml")}
    return {name.removesuffix(".toml"): found[name] for name in sorted(found)}


def run_file_text(given: Mapping[tuple[str, str], Any], file: str = "mine.toml") -> str:
    """A run file in which these fields are set and all others are comments."""
    defaults = _defaults(given)
    blocks = [_HEAD.format(file=file).rstrip()]
    for section, about in SECTIONS.items():
        head = "\n".join(_comment(about))
        blocks.append(f"{head}\n[{section}]" if section != TOP else head)
        blocks += [
            _field(one, given.get(key, defaults[key]), defaults[key], is_set=key in given)
            for key, one in fields().items()
            if one.section == section
        ]
    return "\n\n".join(blocks) + "\n"


def _defaults(given: Mapping[tuple[str, str], Any]) -> dict[tuple[str, str], Any]:
    """The value of each field that is not set; of the policy in the mode, and with the fields, that are."""
    policy = {name: value for (section, name), value in given.items() if section == "policy"}
    made = policy_for(**{"mode": "sedi", **policy})
    return {
        key: getattr(made, one.name) if one.section == "policy" and key not in given else one.default
        for key, one in fields().items()
    }


def _field(one: RunFileField, value: Any, default: Any, *, is_set: bool) -> str:
    known = "Not set" if default is None else f"Default {as_toml(default)}"
    takes = one.takes()
    said = [*_comment(_sentence(one)), *_comment(f"{takes[0].upper()}{takes[1:]}. {known}.")]
    line = f"{one.name} = {'' if value is None else as_toml(value)}".rstrip()
    return "\n".join([*said, line if is_set else f"# {line}"])


def _sentence(one: RunFileField) -> str:
    """What is said of the field, in the file's own terms: fields for flags, not set for None."""

    def named(flag: re.Match[str]) -> str:
        name = flag[1].replace("-", "_")
        return f"`{name}`" if {(one.section, name), (TOP, name)} & fields().keys() else flag[0]

    about = _FLAG.sub(named, re.sub(r"\bNone\b", "not set", one.about))
    first = about.split(" ")[0].strip(",.")
    about = about[0].upper() + about[1:] if first.isalpha() else about
    return about if about.endswith(".") else f"{about}."


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, _WIDTH, break_long_words=False)]
