"""`python -m benchmarks`: the similarity index beside what it replaces, and its agreement with rouge_score."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import agreement, report, similarity

_PLAIN_WIDTH = 132
_EXAMPLE = "A short run: python -m benchmarks --sizes 1000,10000 --growth '' --recovered 20000 --agreement 2000"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write JSON and plot; 1 when a decision differs from rouge_score's."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH  # tables in a file must not be folded
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)

        def step(description: str, done: int | None = None, total: int | None = None) -> None:
            progress.update(task, description=description, completed=done or 0, total=total)
            if not progress.console.is_terminal and not done:
                progress.console.print(description)

        results = similarity.measure(options.sizes, options.growth, options.recovered, step)
        agreements: list[agreement.Agreement] = []
        if options.agreement:
            items = agreement.mixed(options.agreement)
            scores = agreement.reference(items, min(similarity.THRESHOLDS), options.whole, step)
            agreements.extend(
                agreement.compare(items, scores, threshold, keep_all=keep_all)
                for threshold in similarity.THRESHOLDS
                for keep_all in (False, True)
            )
    report.print_results(console, results, agreements)
    report.write_json(out / "similarity.json", results, agreements)
    report.write_plot(out / "similarity.svg", results)
    console.print(f"written: {out / 'similarity.json'}, {out / 'similarity.svg'}")
    return 1 if any(found.different for found in agreements) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, epilog=_EXAMPLE)
    parser.add_argument("--sizes", type=_numbers, default=similarity.SIZES, help="kept items, all ways side by side")
    parser.add_argument("--growth", type=_numbers, default=similarity.GROWTH, help="kept items, the index alone")
    parser.add_argument(
        "--recovered", type=int, default=similarity.RECOVERED, help="kept items to fill at once; 0: none"
    )
    parser.add_argument("--agreement", type=int, default=10_000, help="mixed items compared with rouge_score; 0: none")
    parser.add_argument("--whole", type=int, default=50, help="of these, how many with every other item, bound or not")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="folder for the JSON and the plot")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(",") if part.strip())


if __name__ == "__main__":
    sys.exit(main())
