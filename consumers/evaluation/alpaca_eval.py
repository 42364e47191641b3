"""AlpacaEval's numbers from its published annotation files: which of two outputs an annotator preferred.

`output_2` is the evaluated model's, `output_1` the reference's. A preference of 2 is a win of the model, 1 of the
reference, 0 or 1.5 a draw; newer annotators give any number from 1 to 2, the probability of a win plus one. The numbers
have the names, the unit (percent) and the arithmetic of `alpaca_eval` (tatsu-lab, `metrics/helpers.py`), so that they
come out as on its leaderboards; two things are ours. Rows without a preference (null, or -1 in old files) are dropped
there with a line in a log, here they are counted. The length-controlled rate has no difficulty term
(`consumers.evaluation.length_control`), so it is not the leaderboard's, and has another name.
"""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from consumers.evaluation.length_control import length_controlled
from consumers.evaluation.results import Interval
from consumers.evaluation.statistics import Floats, standard_error
from schemas.errors import ConfigurationError

ALL_DATASETS = "all"

_GZIP = b"\x1f\x8b"
_TEXTS = ("instruction", "output_1", "output_2", "generator_1", "generator_2")
_OR_NULL = ("output_1", "output_2")
_DRAW, _NO_PREFERENCE = 1.5, -1.0
_ROUNDING = 1e-6  # a probability may be rounded to a little beyond 0 or 1; the published code drops such a row


@dataclass(frozen=True)
class Annotation:
    """A row of an annotation file. `preference` is as in the file; None for null. `annotator`, `dataset`: or empty.

    output_1, output_2   empty for null, which some published files have where a model gave nothing
    """

    output_1: str
    output_2: str
    generator_1: str
    generator_2: str
    annotator: str
    dataset: str
    preference: float | None


class WinRate(msgspec.Struct, frozen=True, kw_only=True):
    """The published numbers. Rates and the standard error are in percent; None where there are too few rows for it.

    n_wins, n_wins_base, n_draws   rows that the model wins, the reference wins, and neither
    n_total             rows with a preference
    dropped             rows without one
    standard_error      of the mean preference
    discrete_win_rate   the same with each preference rounded to a win, a draw or a loss
    """

    win_rate: float | None
    standard_error: float | None
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int
    dropped: int
    discrete_win_rate: float | None


class AlpacaEvalScore(WinRate, frozen=True, kw_only=True):
    """A model against a reference by an annotator, on one of the data sets or on `all`.

    avg_length   mean length of the model's outputs in characters, cut to a whole number as published. Leaderboards
                 take it of all the model's outputs: where some are not in the file, or were changed since, it differs
    length_controlled_without_difficulty   in percent, bootstrapped; None: too few rows. Not the published number
    """

    model: str
    reference: str
    annotator: str
    dataset: str
    avg_length: int
    length_controlled_without_difficulty: Interval | None


def read_annotations(path: Path) -> tuple[Annotation, ...]:
    """The rows of an annotation file, a JSON array, gzipped or not; at least one.

    Raises ConfigurationError, with the row, for a missing field, a wrong preference, or something else than rows.
    """
    try:
        raw = path.read_bytes()
        found = json.loads(gzip.decompress(raw) if raw.startswith(_GZIP) else raw)  # some files have NaN for null
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"{path} cannot be read: {why}. Give an annotation file of AlpacaEval: a JSON array, gzipped or not."
        ) from error
    if not isinstance(found, list) or not found:
        raise ConfigurationError(f"{path} is not a JSON array with rows. Give an annotation file of AlpacaEval.")
    return tuple(_annotation(row, f"{path}, row {number}") for number, row in enumerate(found, start=1))


def alpaca_eval(
    rows: Sequence[Annotation], *, rng_seed: int = 0, say: Callable[[str], None] = lambda _: None
) -> tuple[AlpacaEvalScore, ...]:
    """Scores of each model against each reference by each annotator: on all rows, then on each data set if named.

    say   called with a line of progress before each score
    """
    groups: dict[tuple[str, str, str], list[Annotation]] = {}
    for row in rows:
        groups.setdefault((row.generator_2, row.generator_1, row.annotator), []).append(row)
    scores = []
    for (model, reference, annotator), found in groups.items():
        datasets = sorted({row.dataset for row in found} - {""})
        parts = [(dataset, [row for row in found if row.dataset == dataset]) for dataset in datasets]
        for name, part in [(ALL_DATASETS, found), *parts]:
            say(f"{model} against {reference}, {name}: {len(part):,} rows")
            scores.append(_score(part, model, reference, annotator, name, rng_seed))
    return tuple(scores)


def win_rate(preferences: Sequence[float | None]) -> WinRate:
    """The published numbers of preferences, as they are in a file."""
    given = np.array([value for value in preferences if value is not None and not math.isnan(value)], np.float64)
    found = _from_draws(given)
    valid = found[_is_preference(found)] - 1
    discrete = _from_draws(_decided(given))
    discrete = discrete[_is_preference(discrete)] - 1
    error = standard_error(valid)
    return WinRate(
        win_rate=_percent(valid),
        standard_error=None if error is None else error * 100,
        n_wins=int((valid > 0.5).sum()),
        n_wins_base=int((valid < 0.5).sum()),
        n_draws=int((valid == 0.5).sum()),
        n_total=len(valid),
        dropped=len(preferences) - len(valid),
        discrete_win_rate=_percent(discrete),
    )


def _score(
    rows: Sequence[Annotation], model: str, reference: str, annotator: str, dataset: str, rng_seed: int
) -> AlpacaEvalScore:
    preferences = np.array([math.nan if row.preference is None else row.preference for row in rows])
    wins = _from_draws(preferences)
    longer = np.array([len(row.output_2) - len(row.output_1) for row in rows])
    valid = _is_preference(wins)
    controlled = length_controlled(wins[valid] - 1, longer[valid], rng_seed=rng_seed)
    return AlpacaEvalScore(
        model=model,
        reference=reference,
        annotator=annotator,
        dataset=dataset,
        avg_length=int(sum(len(row.output_2) for row in rows) / len(rows)),
        length_controlled_without_difficulty=None
        if controlled is None
        else Interval(value=100 * controlled.value, low=100 * controlled.low, high=100 * controlled.high),
        **msgspec.structs.asdict(win_rate([row.preference for row in rows])),
    )


def _from_draws(preferences: Floats) -> Floats:
    """Preferences with both spellings of a draw as 1.5."""
    return np.where(preferences == 0, _DRAW, preferences)


def _decided(preferences: Floats) -> Floats:
    """Preferences rounded to 0, a draw, 1 or 2."""
    rounded: Floats = np.rint(preferences)
    rounded[preferences == _DRAW] = 0.0
    return rounded


def _is_preference(values: Floats) -> npt.NDArray[np.bool_]:
    return (values >= 1) & (values <= 2)


def _percent(values: Floats) -> float | None:
    return float(values.sum() / len(values)) * 100 if len(values) else None


def _annotation(row: Any, where: str) -> Annotation:
    if not isinstance(row, dict):
        raise ConfigurationError(f"{where}: a row must be a JSON object, and this is not. Correct it.")
    missing = [name for name in (*_TEXTS, "preference") if name not in row]
    if missing:
        raise ConfigurationError(
            f"{where}: {', '.join(missing)} missing. An annotation has {', '.join(_TEXTS)} and preference."
        )
    for name in _TEXTS:
        if not isinstance(row[name], str) and not (row[name] is None and name in _OR_NULL):
            raise ConfigurationError(f"{where}: {name} must be a text, and is {row[name]!r}. Correct it.")
    return Annotation(
        output_1=row["output_1"] or "",
        output_2=row["output_2"] or "",
        generator_1=_name(row["generator_1"]),
        generator_2=_name(row["generator_2"]),
        annotator=_name(row.get("annotator")),
        dataset=_name(row.get("dataset")),
        preference=_preference(row["preference"], where),
    )


def _name(value: Any) -> str:
    """A name as a text that can be written; half a surrogate pair is escaped."""
    return str(value or "").encode("utf-8", "backslashreplace").decode()


def _preference(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and math.isnan(value):
            return None
        if value in (0.0, _NO_PREFERENCE) or 1 - _ROUNDING <= value <= 2 + _ROUNDING:
            return float(value)
    raise ConfigurationError(
        f"{where}: preference must be 1 to 2, 0 for a draw, or null for none, and is {value!r}. Correct it."
    )
