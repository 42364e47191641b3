"""Options of an export of rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from schemas.errors import ConfigurationError

Format = Literal["alpaca", "sharegpt", "openai", "trl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    through    the last offset of `generated`; None for the last decided one
    exclude    a file of instruction ids to leave out, one a line
    clusters   only these; none for all
    license    as the data card names it
    min_score  only rows that a judge gave at least this; None for all
    judge      the judge's name; None for the only one
    judged_through   the last offset of `judged` that counts; None for the last
    documents_through   the last offset of `documents` whose withdrawals count; None for the last
    with_files       files of rows that join the run's
    with_threshold   leave out added rows that are more similar than this to a row before; None: only equal ones

    Offsets, `exclude` and `clusters` are the run's own; `min_score` and `judge` hold for added runs too.
    """

    formats: tuple[Format, ...] = ("alpaca",)
    through: int | None = None
    exclude: Path | None = None
    clusters: tuple[int, ...] = ()
    license: str = "unknown"
    min_score: float | None = None
    judge: str | None = None
    judged_through: int | None = None
    documents_through: int | None = None
    with_files: tuple[Path, ...] = ()
    with_threshold: float | None = None

    def __post_init__(self) -> None:
        # in one order, so that equal options give equal files
        object.__setattr__(self, "formats", tuple(name for name in FORMATS if name in self.formats))
        object.__setattr__(self, "clusters", tuple(sorted(set(self.clusters))))
        if self.with_threshold is not None and not 0.0 <= self.with_threshold < 1.0:
            raise ConfigurationError(
                f"--with-threshold is {self.with_threshold}; a similarity threshold is at least 0 and below 1."
            )

    @property
    def of_added_runs(self) -> "ExportOptions":
        """What holds for the runs that join."""
        return ExportOptions(formats=self.formats, min_score=self.min_score, judge=self.judge)
