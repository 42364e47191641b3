"""The mistakes that checks find, each at its place in the run file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from schemas.errors import ConfigurationError
from sedi.run_file.given import Given, Mistake
from sedi.train import TRAIN_NAMES


class MistakeList:
    """`here`: whether the parts of the run start on this machine, with its files and settings."""

    def __init__(
        self, given: Mapping[tuple[str, str], Given], sections: Mapping[str, Given], *, here: bool = True
    ) -> None:
        self._given = given
        self._sections = sections
        self.here = here
        self.mistakes: list[Mistake] = []

    def add(self, section: str, names: Iterable[str], text: str) -> None:
        """A mistake at the first of these fields that was given, else at the section's."""
        places = [self._given[section, name] for name in names if (section, name) in self._given]
        nowhere = Given(None, f"[{section}]" if section else "the run", (3, 0, 0))
        at = min(places, key=lambda each: each.order) if places else self._sections.get(section, nowhere)
        self.mistakes.append(Mistake(at.place, text, at.order))

    def add_at_backend(self, section: str, text: str) -> None:
        """A mistake about what answers, which a section names, or else [settings]."""
        self.add(section if (section, "backend") in self._given else "settings", ["backend"], text)

    def attempt(self, section: str, check: Callable[[], object], about: Iterable[str] = ()) -> None:
        """A check whose error names fields of a section, or is `about` some of them."""
        try:
            check()
        except ConfigurationError as error:
            text = _as_flags(str(error)) if section == "train" else str(error)
            self.add(section, self.named_in(section, text) or about, text)

    def named_in(self, section: str, text: str) -> list[str]:
        """The given fields of a section that a message names, by their own name, their flag's or their variable's."""
        found = []
        for part, name in self._given:
            names = {name, name.replace("_", "-"), f"SEDI_{name.upper()}"}
            if part == section and any(
                re.search(rf"(?<![\w-]){each}(?![\w-])", text.replace("--", " ")) for each in names
            ):
                found.append(name)
        return found


def _as_flags(text: str) -> str:
    """A message of the trainer's options, with the names that a run file has for them."""
    for name, option in TRAIN_NAMES.items():
        text = re.sub(rf"\b{option}\b", name, text)
    return text
