"""The view of a run fits every terminal: no line wraps or is wider, and what matters most is there in a small one."""

from io import BytesIO, TextIOWrapper

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from consumers.folds.moment import LastRow, Moment
from consumers.seed_table import SeedRow
from consumers.status import EventRates, Lag, Status, WindowStatus
from sedi.dashboard import Dashboard
from sedi.run_progress import RunProgress
from sedi.targets import Target
from tests.unit.sedi.test_stall import quiet_status

LONG = "Name three rivers that cross a border, 列出三条河 and say which of the countries share them with whom. " * 3
SIZES = [(60, 20), (200, 60), (80, 24), (40, 12)]


def busy_status() -> Status:
    quiet = quiet_status()
    seed = SeedRow(id="s", instruction=LONG, shown=9, generated=20, kept=7, score=0.35, since_offset=-1)
    return replace(
        quiet,
        run="a-run-with-a-long-name",
        generated=12_345,
        generations=2_469,
        kept=9_876,
        kept_share=0.8,
        rejected={"similar": 2_000, "unsuitable_word": 400, "cut_output": 69},
        rejected_total=2_469,
        clusters=tuple(range(0, 1600, 100)),
        moment=Moment(
            oldest_call_s=42.3,
            last_kept=LastRow(id="k", instruction=LONG, cluster=3),
            last_rejected=LastRow(id="r", instruction=f"two\nlines {LONG}", reason="similar", similarity=0.83),
        ),
        calls=replace(quiet.calls, started=2_500, answered=2_480, failed=12, open=8),
        rates=EventRates(calls=1, generations=0.3, generated=1.5, kept=1.2, rejected=0.3, steps=0.1),
        lag=Lag(generations=3, untrained=44),
        last_window=WindowStatus(
            epoch=1, window=3, step=40, loss=2.1234, grad_norm=3.2, outcome="replaced", replacements=1
        ),
        lowest_seeds=(seed,) * 5,
        highest_seeds=(seed,) * 5,
        steps=40,
        windows=4,
    )


BUSY = RunProgress(
    windows=1,
    windows_wanted=3,
    elapsed_s=754,
    phase="ending: waiting for the trainer to finish step 41",
    children={"worker": "runs", "trainer": "runs", "generator": "runs, restarted 1×", "judge": "failed (1)"},
    training="Waiting for rows: 3 of 16 clusters have fewer than 2 (1: 1, 5: 0, 9: 1).",
    priced=True,
    waited_s=14.2,
    news={"generator": "Waiting for training: 96 kept rows ahead of it, at most 96."},
    targets=(
        Target("windows", 1, 3, 0.002, 1_000.0),
        Target("kept", 9_876, 10_000, 1.2, 103.0),
        Target("$", 0.5, 20.0, 0.001, 19_500.0),
        Target("s", 754, 3_600, None, 2_846.0),
    ),
    feeds_back=True,
)


def shown(width: int, height: int, status: Status, progress: RunProgress = BUSY) -> list[str]:
    console = Console(width=width, height=height, color_system=None)
    with console.capture() as captured:
        console.print(Dashboard(status, progress))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_line_wraps_and_none_is_too_many(width: int, height: int) -> None:
    busy = busy_status()
    wide = LastRow(id="k", instruction="列出三条河" * 5, cluster=3)  # characters of two cells
    for status in (busy, quiet_status(), replace(busy, moment=replace(busy.moment, last_kept=wide))):
        lines = shown(width, height, status)
        assert len(lines) < height
        assert max(map(cell_len, lines)) <= width
        assert len({line[:14] for line in lines if line[:14].strip()}) >= len(lines) - 7  # the rest: seeds, numbers
        assert all("…" not in line.rstrip("…") for line in lines)


def test_a_small_terminal_has_what_matters() -> None:
    text = "\n".join(shown(60, 20, busy_status()))
    for part in (
        "13 min   ending: waiting for the trainer to finish step 41",
        "█",
        "9,876 of 10,000",
        "17 min left",
        "5 h 25 min left",
        "8 in flight, oldest 42 s",
        "judge         failed (1)",
        "Waiting for training: 96",
        "decides on 3 generations",
        "Waiting for rows: 3 of 16",
        "cluster 3: Name three",
        "similar 0.83: two lines",
        "·▁▂▂▃▃▄▄▅▅▆▆▇▇██",
    ):
        assert part in text, part


def test_a_large_one_has_everything() -> None:
    text = "\n".join(shown(200, 60, busy_status()))
    for part in (
        "8 in flight, the oldest 42 s; 2,480 answered, 12 failed",
        "similar 2,000, unsuitable_word 400, cut_output 69",
        "0    100  200  300",
        "lowest seeds  0.35, shown 9×: Name",
        "to step 40: loss 2.123, gradient norm 3.2; replaced, 1 seeds",
    ):
        assert part in text, part


def test_a_terminal_that_shows_only_ascii_gets_only_ascii() -> None:
    class AsciiConsole(Console):
        encoding = "ascii"

    console = AsciiConsole(width=60, height=20, color_system=None)
    status = replace(busy_status(), moment=Moment(oldest_call_s=1.0, last_kept=None, last_rejected=None))
    with console.capture() as captured:
        console.print(Dashboard(status, BUSY))
    assert "####" in captured.get() and "..." in captured.get()
    assert captured.get().replace("×", "x").isascii()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_an_encoding_does_not_have_is_escaped_before_it_is_measured(encoding: str) -> None:
    console = Console(width=40, height=20, color_system=None, file=TextIOWrapper(BytesIO(), encoding))
    with console.capture() as captured:
        console.print(Dashboard(busy_status(), BUSY))
    written = captured.get().encode(encoding, "backslashreplace").decode(encoding).splitlines()
    assert len(written) < 20 and max(map(len, written)) <= 40
    wide = replace(
        busy_status(),
        moment=Moment(oldest_call_s=1.0, last_kept=LastRow(id="k", instruction="é列", cluster=3), last_rejected=None),
    )
    with console.capture() as captured:
        console.print(Dashboard(wide, BUSY))
    assert ("cluster 3: é\\u5217" if encoding == "latin-1" else "cluster 3: \\xe9\\u5217") in captured.get()
