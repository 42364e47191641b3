"""What to say about prices before a run spends."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from sedi.run_file.checks import overridden
from sedi.run_file.values import parsed

if TYPE_CHECKING:
    from infra.settings import Settings
    from sedi.run_options import RunOptions


def stale_prices(options: RunOptions, settings: Settings, today: date) -> list[str]:
    """A sentence for each old price of this program's table that a part of the run would spend at."""
    from infra.prices import prices_in_use

    parts = {
        "generate": (options.from_seeds, options.generate),
        "documents": (options.from_documents, options.documents),
        "answerer": (options.from_seeds, options.answer_arguments()),
        "judge": (options.judging, options.judge_arguments()),
    }
    found = []
    for section, (starts, words) in parts.items():
        if starts:
            all_of, _ = parsed(section, words)
            found.append(prices_in_use(overridden(settings, all_of)).stale(today))
    return list(dict.fromkeys(said for said in found if said is not None))
