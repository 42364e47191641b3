"""The options of `python -m benchmarks`."""

import argparse
from pathlib import Path

from benchmarks import (
    corpus,
    export,
    generator,
    likelihood,
    loop,
    pace,
    perplexity,
    replay,
    saving,
    sharding,
    similarity,
    trainer,
    yields,
)
from benchmarks import filter as filters


def add_options(parser: argparse.ArgumentParser) -> None:
    """The sizes of each benchmark, and where results go."""
    parser.add_argument("--sizes", type=_numbers, default=similarity.SIZES, help="kept items, all ways side by side")
    parser.add_argument("--growth", type=_numbers, default=similarity.GROWTH, help="kept items, the index alone")
    parser.add_argument(
        "--recovered", type=int, default=similarity.RECOVERED, help="kept items to fill at once; 0: none"
    )
    parser.add_argument("--agreement", type=int, default=10_000, help="mixed items compared with rouge_score; 0: none")
    parser.add_argument("--whole", type=int, default=50, help="of these, how many with every other item, bound or not")
    parser.add_argument(
        "--filter-instructions", type=int, default=filters.INSTRUCTIONS, help="that wait for each side of `filter`"
    )
    parser.add_argument("--filter-kept", type=_numbers, default=filters.KEPT, help="rows before them, beside none")
    parser.add_argument(
        "--filter-latency-s", type=float, default=filters.LATENCY_S, help="at ten generations a second; 0: none"
    )
    parser.add_argument("--sharding-texts", type=int, default=sharding.TEXTS, help="in the stream of `sharding`")
    parser.add_argument("--sharding-shards", type=_numbers, default=sharding.SHARDS, help="shards, one after another")
    parser.add_argument(
        "--replay-instructions", type=int, default=replay.INSTRUCTIONS, help="instructions in the run that is audited"
    )
    parser.add_argument(
        "--generator-seconds", type=float, default=generator.SECONDS, help="each measurement of the generator takes"
    )
    parser.add_argument("--pace-seconds", type=float, default=pace.SECONDS, help="each measurement of the pace takes")
    parser.add_argument("--pace-given", type=_numbers, default=pace.GIVEN, help="fixed numbers of calls in flight")
    parser.add_argument("--pace-slots", type=_numbers, default=pace.SLOTS, help="requests that the servers work on")
    parser.add_argument("--export-rows", type=int, default=export.ROWS, help="kept rows in the run that is exported")
    parser.add_argument(
        "--kept",
        type=int,
        help=f"instructions that each run is to keep: of `saving`, {saving.KEPT:,}; of `yield`, {yields.KEPT:,}",
    )
    parser.add_argument("--rng", type=_numbers, default=saving.RNG_SEEDS, help="rng seeds of `saving` and `yield`")
    parser.add_argument("--minutes", type=float, default=yields.MINUTES, help="that each stream of `yield` takes")
    parser.add_argument("--folder", type=Path, help="streams and results of `yield`; default: yield, in --out")
    parser.add_argument("--model", type=Path, help="`yield`: a GGUF to serve; default: what the settings name")
    parser.add_argument("--page", type=Path, help="`yield`, `sharding`: put the tables into this page of docs")
    parser.add_argument("--loop-kept", type=int, default=loop.KEPT, help="that each run of `loop` is to keep")
    parser.add_argument(
        "--loop-steps", type=float, default=loop.STEPS_A_SECOND, help="training steps a second of `loop`, of 16 rows"
    )
    parser.add_argument(
        "--likelihood-questions", type=int, default=likelihood.QUESTIONS, help="of ARC easy, and of ARC challenge"
    )
    parser.add_argument(
        "--likelihood-data", type=Path, default=likelihood.data_folder(), help="folder of question files"
    )
    parser.add_argument("--corpus-mb", type=int, default=corpus.MB, help="size of the corpus that `corpus` makes")
    parser.add_argument("--perplexity-rows", type=int, default=perplexity.ROWS, help="rows of `perplexity`, 10 or more")
    parser.add_argument(
        "--perplexity-staged", type=int, default=perplexity.STAGED_ROWS, help="segments scored in one stage and in two"
    )
    parser.add_argument("--perplexity-data", type=Path, default=perplexity.data_file(), help="JSON of Alpaca's rows")
    parser.add_argument("--clusters-texts", type=Path, help="JSON of instructions for `clusters`: strings, or rows")
    parser.add_argument("--clusters-rows", type=int, default=10_000, help="only the first so many of them")
    parser.add_argument(
        "--clusters-vectorizers", type=lambda text: text.split(","), default=["tfidf"], help="tfidf,embeddings"
    )
    parser.add_argument("--trainer-rounds", type=int, default=trainer.ROUNDS, help="turns of every side of `trainer`")
    parser.add_argument("--trainer-steps", type=int, default=trainer.STEPS, help="steps of each, warm-up included")
    parser.add_argument("--trainer-precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--trainer-model", type=Path, help="a model folder; default: 5 M random weights")
    parser.add_argument("--json", action="store_true", help="print the results as JSON (not similarity and yield)")
    parser.add_argument("--gpu", action="store_true", help="`trainer` on a CUDA device, alone")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"), help="folder for the JSON and the plot")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(",") if part.strip())
