"""`python -m benchmarks [NAME]...`: all benchmarks, or the named ones.

similarity   the similarity index against what it replaces, and its agreement with rouge_score
filter       our worker, the same decider in Quix Streams, and a bare consumer and producer, behind 0 to 1,000,000 kept
             rows: speed, processor time by part, memory, recovery, latency, and reading again; takes an hour, so it
             runs only when it is named
sharding     the kept table in shards under one sequencer, simulated: decisions, shards asked, work of each
replay       the audit of a run against a bare consumer of the same topics
pace         adaptive against fixed concurrency, at servers of 1, 8 and 64 slots; takes 20 minutes, so it runs only when
             it is named
generator    calls per minute by calls in flight, at a mock endpoint, with faults and within a budget
saving       calls and cost to a number of kept rows, the method against its baseline, with the built-in model; takes
             hours, so it runs only when it is named
trainer      tokens per second of the trainer, a plain torch loop, transformers' Trainer and TRL's; with --gpu, of a 1.1
             billion parameter model on a CUDA device, and the share of its peak
loop         the generations that see seeds from training, when the generator waits for training and when it does not;
             some minutes
likelihood   questions per second of `sedi eval benchmarks` beside lm-evaluation-harness on the same model, and how far
             the log-likelihoods differ; needs the public data and half an hour, so it runs only when it is named
corpus       documents added to a run: per second, and memory while a corpus of --corpus-mb is read
perplexity   how often the true instruction is the likeliest, copies, and segments scored per minute beside a plain
             loop; needs the public data, so it runs only when it is named
segments     documents cut into segments: sentences beside a plain pattern, and each strategy
yield        instructions alone, listed by the built-in model: the calls that Self-Instruct and SEDI-Instruct take to
             keep so many, by what-if over a stream for each rng seed; takes hours, so it runs only when it is named
export       data sets written from a large run on a real broker: rows per second, peak memory
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import (
    agreement,
    clusters,
    corpus,
    export,
    filter_tables,
    generator,
    likelihood,
    loop,
    pace,
    perplexity,
    replay,
    report,
    saving,
    segments,
    sharding,
    sharding_page,
    similarity,
    trainer,
    trainer_gpu,
    yields,
)
from benchmarks import filter as filters
from benchmarks.options import add_options

Step = Callable[..., None]
T = TypeVar("T")

_ALL = "all"
_PLAIN_WIDTH = 132
_EXAMPLE = (
    "A short run: python -m benchmarks similarity --sizes 1000,10000 --growth '' --recovered 20000 --agreement 2000"
)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write JSON and plots; returns 1 when a decision differs from rouge_score's."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH  # tables in a file must not be folded
    options.out.mkdir(parents=True, exist_ok=True)
    names = _UNASKED if _ALL in options.names else options.names
    return max([_BENCHMARKS[name](options, console) for name in names])


def _similarity(options: argparse.Namespace, console: Console) -> int:
    out: Path = options.out
    with _progress() as step:
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


def _export(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = export.measure(options.export_rows, step)
    return _told(options, console, "export", export.show, export.write_json, found)


def _filter(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = filters.measure(
            options.filter_instructions, options.filter_kept, options.filter_latency_s, options.out / "filter", step
        )
    return _told(options, console, "filter", filter_tables.show, filter_tables.write_json, found)


def _sharding(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = sharding.measure(options.sharding_texts, options.sharding_shards, step)
    if options.page is not None:
        sharding_page.write_page(options.page, found)
    return _told(options, console, "sharding", sharding_page.show, sharding_page.write_json, found)


def _replay(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = [replay.measure(style, options.replay_instructions, step) for style in replay.STYLES]
    return _told(options, console, "replay", _show_replays, replay.write_json, found)


def _show_replays(console: Console, found: list[replay.Result]) -> None:
    for result in found:
        replay.show(console, result)


def _generator(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = generator.measure(options.generator_seconds, step)
    return _told(options, console, "generator", generator.show, generator.write_json, found)


def _trainer(options: argparse.Namespace, console: Console) -> int:
    if options.gpu:
        on_gpu = trainer_gpu.measure()
        return _told(options, console, "trainer-gpu", trainer_gpu.show, trainer_gpu.write_json, on_gpu)
    with _progress() as step:
        found = trainer.measure(
            options.trainer_rounds,
            options.trainer_steps,
            options.trainer_precision,
            options.trainer_model,
            options.out / "trainer",
            step,
        )
    return _told(options, console, "trainer", trainer.show, trainer.write_json, found)


def _pace(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = pace.measure(options.pace_seconds, step, options.pace_given, options.pace_slots)
    return _told(options, console, "pace", pace.show, pace.write_json, found)


def _loop(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = loop.measure(options.loop_kept, options.loop_steps, step)
    return _told(options, console, "loop", loop.show, loop.write_json, found)


def _saving(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = saving.measure(options.kept or saving.KEPT, options.rng, options.out / "saving", step)
    return _told(options, console, "saving", saving.show, saving.write_json, found)


def _yield(options: argparse.Namespace, console: Console) -> int:
    folder = options.folder or options.out / "yield"
    with _progress() as step:
        study = yields.measure(options.rng, options.kept or yields.KEPT, options.minutes, folder, options.model, step)
    yields.show(console, study)
    console.print(f"written: {', '.join(map(str, yields.write(study, folder, options.page)))}")
    return 0


def _likelihood(options: argparse.Namespace, console: Console) -> int:
    folder: Path = options.likelihood_data
    if not folder.is_dir():
        console.print(f"`likelihood` needs question files, and there is no {folder}: give --likelihood-data FOLDER.")
        return 2
    with _progress() as step:
        found = likelihood.measure(options.likelihood_questions, folder, step)
    return _told(options, console, "likelihood", likelihood.show, likelihood.write_json, found)


def _segments(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = segments.measure(step)
    return _told(options, console, "segments", segments.show, segments.write_json, found)


def _clusters(options: argparse.Namespace, console: Console) -> int:
    if options.clusters_texts is None:
        console.print("`clusters` needs --clusters-texts FILE: a JSON list of instructions, or of rows.")
        return 2
    with _progress() as step:
        found = clusters.measure(options.clusters_texts, options.clusters_rows, options.clusters_vectorizers, step)
    return _told(options, console, "clusters", clusters.show, clusters.write_json, found)


def _told(
    options: argparse.Namespace,
    console: Console,
    name: str,
    show: Callable[[Console, T], None],
    write_json: Callable[[Path, T], None],
    found: T,
) -> int:
    """Show and write the results; returns the exit code."""
    path = options.out / f"{name}.json"
    write_json(path, found)
    if options.json:
        print(path.read_text(encoding="utf-8"), end="")
    else:
        show(console, found)
        console.print(f"written: {path}")
    return 0


def _corpus(options: argparse.Namespace, console: Console) -> int:
    with _progress() as step:
        found = corpus.measure(options.corpus_mb, step)
    return _told(options, console, "corpus", corpus.show, corpus.write_json, found)


def _perplexity(options: argparse.Namespace, console: Console) -> int:
    file: Path = options.perplexity_data
    if not file.is_file():
        console.print(f"`perplexity` needs rows of Alpaca, and there is no {file}: give --perplexity-data FILE.")
        return 2
    with _progress() as step:
        found = perplexity.measure(options.perplexity_rows, options.perplexity_staged, file, step)
    return _told(options, console, "perplexity", perplexity.show, perplexity.write_json, found)


_BENCHMARKS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "similarity": _similarity,
    "filter": _filter,
    "sharding": _sharding,
    "replay": _replay,
    "generator": _generator,
    "trainer": _trainer,
    "export": _export,
    "loop": _loop,
    "pace": _pace,
    "clusters": _clusters,
    "segments": _segments,
    "saving": _saving,
    "yield": _yield,
    "likelihood": _likelihood,
    "corpus": _corpus,
    "perplexity": _perplexity,
}
_ASKED_FOR = (
    "filter",
    "saving",
    "yield",
    "clusters",
    "pace",
    "likelihood",
    "perplexity",
)  # an hour or more, or texts of others
_UNASKED = [name for name in _BENCHMARKS if name not in _ASKED_FOR]


@contextmanager
def _progress() -> Iterator[Step]:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=None)

        def step(description: str, done: int | None = None, total: int | None = None) -> None:
            progress.update(task, description=description, completed=done or 0, total=total)
            if not progress.console.is_terminal and not done:
                progress.console.print(description)

        yield step


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        choices=[*_BENCHMARKS, _ALL],
        default=_ALL,
        help=f"{', '.join(_BENCHMARKS)}; default: all but {' and '.join(_ASKED_FOR)}",
    )
    add_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
