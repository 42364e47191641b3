"""matplotlib as we draw with it: into files, imported when it is first needed, and silent about folders of its own.

Where it cannot write to the user's home (a container, a service) it keeps its fonts in a temporary folder and says so
in two warnings, which call for nothing that a user has to do.
"""

import logging
from typing import Any


def matplotlib() -> Any:
    """The package, with `figure` and a backend that needs no screen."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib
    import matplotlib.figure

    matplotlib.use("agg")
    return matplotlib
