"""The columns of each data frame and their types, in order. What they mean is in `docs/python.md`."""

from typing import get_args

import polars as pl

from schemas.documents import DocumentFormat, DropReason
from schemas.evaluation import AnswerOutcome

_TIME = pl.Datetime("ms", "UTC")

_Columns = dict[str, pl.DataType | type[pl.DataType]]


def _schema(columns: _Columns) -> pl.Schema:
    return pl.Schema(columns)


_GENERATION: _Columns = {
    "generation_id": pl.String,
    "generated_offset": pl.Int64,
    "place": pl.Int64,
    "lane": pl.String,
    "number": pl.Int64,
    "model": pl.String,
    "seed_ids": pl.List(pl.String),
}
_TASK: _Columns = {"instruction": pl.String, "input": pl.String, "output": pl.String}

KEPT = _schema({"id": pl.String, **_TASK, "cluster": pl.Int64, "classifier_offset": pl.Int64, **_GENERATION})
KEPT_ANSWERED = _schema({**KEPT, "answer_model": pl.String, "unused": pl.String})
REJECTED = _schema(
    {
        "id": pl.String,
        **_TASK,
        "reason": pl.String,
        "similarity": pl.Float64,
        "nearest_id": pl.String,
        "threshold": pl.Float64,
        **_GENERATION,
    }
)
SEEDS = _schema(
    {
        "id": pl.String,
        **_TASK,
        "active": pl.Boolean,
        "since_offset": pl.Int64,
        "replaced_offset": pl.Int64,
        "replaced_by": pl.String,
        "shown": pl.Int64,
        "generated": pl.Int64,
        "kept": pl.Int64,
        "score": pl.Float64,
    }
)
CALLS = _schema(
    {
        "request_id": pl.String,
        "attempt": pl.Int64,
        "outcome": pl.Enum(["answered", "failed", "lost", "open"]),
        "generation_id": pl.String,
        "lane": pl.String,
        "number": pl.Int64,
        "step": pl.Int64,
        "backend": pl.String,
        "model": pl.String,
        "started": _TIME,
        "ended": _TIME,
        "latency_s": pl.Float64,
        "prompt_tokens": pl.Int64,
        "completion_tokens": pl.Int64,
        "cached_tokens": pl.Int64,
        "cost_usd": pl.Float64,
        "finish_reason": pl.String,
        "error": pl.String,
        "status": pl.Int64,
        "retry": pl.Boolean,
        "perhaps_paid": pl.Boolean,
    }
)
TRAINING = _schema(
    {
        "epoch": pl.Int64,
        "window": pl.Int64,
        "step": pl.Int64,
        "loss": pl.Float64,
        "loss_variance": pl.Float64,
        "grad_norm": pl.Float64,
        "learning_rate": pl.Float64,
        "tokens": pl.Int64,
        "all_tokens": pl.Int64,
        "padding": pl.Float64,
        "seconds": pl.Float64,
        "memory_bytes": pl.Int64,
        "row_ids": pl.List(pl.String),
        "borrowed": pl.Int64,
        "outcome": pl.String,
        "chosen": pl.Boolean,
        "replaced": pl.Int64,
        "model": pl.String,
        "time": _TIME,
    }
)

DOCUMENTS = _schema(
    {
        "id": pl.String,
        "source": pl.String,
        "place": pl.Int64,
        "start": pl.Int64,
        "format": pl.Enum(get_args(DocumentFormat)),
        "characters": pl.Int64,
        "title": pl.String,
        "language": pl.String,
        "licence": pl.String,
        "dropped": pl.Enum(get_args(DropReason)),
        "nearest_id": pl.String,
        "withdrawn": pl.Boolean,
        "kept": pl.Int64,
    }
)

_EVALUATED: _Columns = {
    "id": pl.String,
    "model": pl.String,
    "model_key": pl.String,
    "trained_run": pl.String,
    "trained_step": pl.Int64,
}
MEASURED = _schema(
    {
        **_EVALUATED,
        "benchmark": pl.String,
        "version": pl.Int64,
        "shots": pl.Int64,
        "data_sha256": pl.String,
        "form": pl.String,
        "question_id": pl.String,
        "group": pl.String,
        "group_size": pl.Int64,
        "sample": pl.String,
        "question": pl.String,
        "choices": pl.List(pl.String),
        "loglikelihoods": pl.List(pl.Float64),
        "tokens": pl.List(pl.Int64),
        "gold": pl.Int64,
        "chosen": pl.Int64,
        "chosen_per_character": pl.Int64,
        "right": pl.Boolean,
        "right_per_character": pl.Boolean,
        "engine": pl.String,
        "precision": pl.String,
        "time": _TIME,
    }
)
ANSWERS = _schema(
    {
        **_EVALUATED,
        "set": pl.String,
        "asked": pl.String,
        "system": pl.String,
        "shots": pl.Int64,
        "template": pl.String,
        "prompt_id": pl.String,
        "group": pl.String,
        "instruction": pl.String,
        "input": pl.String,
        "references": pl.List(pl.String),
        "outcome": pl.Enum(get_args(AnswerOutcome)),
        "text": pl.String,
        "reason": pl.String,
        "cost_usd": pl.Float64,
        "time": _TIME,
    }
)
JUDGEMENTS = _schema(
    {
        "id": pl.String,
        "judge": pl.String,
        "set": pl.String,
        "prompt_id": pl.String,
        "group": pl.String,
        "answer_ids": pl.List(pl.String),
        "models": pl.List(pl.String),
        "scores": pl.List(pl.Float64),
        "reason": pl.String,
        "requests": pl.Int64,
        "cost_usd": pl.Float64,
        "time": _TIME,
    }
)
