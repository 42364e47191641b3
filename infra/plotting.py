"""matplotlib, imported on first use, drawing into files, without its warnings about a read-only home.

Without a writable home (a container, a service) it caches fonts in a temporary folder and logs two warnings that need
no action.
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
