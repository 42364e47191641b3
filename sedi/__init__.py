"""Read the runs of sedi from Python, and start one.

    import sedi

    with sedi.open("demo") as run:                  # on the cluster; sedi.open(archive="backup") for an archive
        run.kept().group_by("cluster").len()        # polars data frames: kept, rejected, seeds, calls, training
        run.measured(), run.answers()               # and of an evaluation: measured, answers, judgements
        run.explain("3f2c91")                       # the story of an instruction, seed, generation, request or model
        run.replay().divergences                    # the audit
    sedi.run("mine.toml").report.kept

Each name is imported when it is first used, so `import sedi` itself loads nothing. `docs/python.md` describes all.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.distribution import VERSION as __version__
    from schemas.errors import SediError
    from sedi.api.opened import OpenRun, open
    from sedi.api.running import RunOutcome, run

__all__ = ["OpenRun", "RunOutcome", "SediError", "__version__", "open", "run"]

_PLACES = {
    "OpenRun": ("sedi.api.opened", "OpenRun"),
    "RunOutcome": ("sedi.api.running", "RunOutcome"),
    "SediError": ("schemas.errors", "SediError"),
    "__version__": ("infra.distribution", "VERSION"),
    "open": ("sedi.api.opened", "open"),
    "run": ("sedi.api.running", "run"),
}
_PACKAGES = ("schemas", "streams", "producers", "consumers", "infra")


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _require_own_packages()
    module, attribute = _PLACES[name]
    found: object = getattr(import_module(module), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _require_own_packages() -> None:
    """Raise ImportError when another package of the same name is found before one of ours."""
    home = Path(__file__).resolve().parent.parent
    for package in _PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != home:
            where = None if spec is None else spec.origin or list(spec.submodule_search_locations or ())
            raise ImportError(
                f"The package {package!r} of sedi is hidden by another one at {where}. Start Python with -P, "
                f"or in another folder, or with {str(home)!r} first in sys.path."
            )
