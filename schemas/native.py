"""Chooses between the compiled core (`native/`, Rust) and the Python it is a faster copy of.

The compiled core is optional: `make setup` builds it where cargo is, and without it everything works. No decision
depends on the choice. `SEDI_NATIVE_CORE=0` in the environment turns it off; `sedi doctor` says which is in use.
"""

import os
from types import ModuleType

VERSION = "1.1.2"
"""Of the compiled core that goes with this program: one that was built from other sources is not used."""

SWITCH = "SEDI_NATIVE_CORE"


def _choose() -> tuple[ModuleType | None, str]:
    if os.environ.get(SWITCH) == "0":
        return None, f"off ({SWITCH}=0)"
    try:
        import sedi_native
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        return None, "not installed" if missing else f"cannot be loaded ({error})"
    found = getattr(sedi_native, "VERSION", "a part of it")  # an empty folder, left by an interrupted installation
    if found != VERSION:
        return None, f"installed is {found}, which goes with another version of this program"
    return sedi_native, f"compiled, {VERSION}"


CORE, FOUND = _choose()
"""The compiled core, None where Python is used; and what was found, in words."""
