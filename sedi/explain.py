"""`sedi explain`: the whole story of an instruction, a seed, a generation, a document, or a part of an evaluation."""

from __future__ import annotations

from typing import Annotated

import typer

from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, FromFiles, Run


@command(
    "explain",
    "sedi explain 3f2c91 --run demo",
    "sedi explain seed_task_7 --from-files archive --json",
    "sedi explain demo@300",
)
def explain_command(
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Of an instruction, seed, generation, request or document, or of a question, answer, judgement or "
            "model of an evaluation; or its start (from 6).",
        ),
    ],
    *,
    run: Run = DEFAULT_RUN,
    from_files: FromFiles = None,
    common: CommonOptions,
) -> None:
    """Why a row is in the training set, or is not: every fact with its place on the run's log.

    Of an instruction: seeds, requests, raw answers, rules, verdict, nearest row, training, candidacies for a seed.
    Of a seed: its time in the pool, its generations, its score over time. The prompt is not on the log; this version of
    the program rebuilds it.

    Of a row that was made from a document: the document with its licence, the segment and its place in the text, all
    candidates for it with perplexity and gain, and which won by how much. Of a document: what it is, why it was dropped
    and of what it is a duplicate, whether it is withdrawn, and the segments and rows made from it.

    Of an evaluated model, by its name (demo@300): its scores down to the questions, the wrong ones first, its answers,
    and the rows it was trained on; --json lists them all. Of a question, an answer or a judgement: all that is on the
    log, a judgement with the answers and calls behind it.
    """
    from sedi.explain_panels import show_explanation
    from sedi.output import print_result
    from sedi.reading_progress import log_progress

    reading = common.opened(run, from_files)
    with reading, log_progress(f"Reading {reading.name}"):
        found = reading.explain(id)
    print_result(found, show_explanation, as_json=common.as_json)
