"""Flags that `sedi run` and `sedi configure` share: both take a run file."""

from __future__ import annotations

from typing import Annotated

import typer

from sedi.options import DEFAULT_RUN

File = Annotated[
    str | None, typer.Argument(metavar="FILE", help="A run file; `sedi init FILE` writes one.", show_default=False)
]
RunOfFile = Annotated[
    str | None,
    typer.Option("--run", envvar="SEDI_RUN", help=f"Name of the run. Default: the file's, or {DEFAULT_RUN}."),
]
Preset = Annotated[
    str | None, typer.Option("--preset", help="`demo`, `self-instruct`, `goliath`, or a run file, in place of FILE.")
]
Mode = Annotated[str | None, typer.Option("--mode", help="`sedi` or the baseline `self-instruct`.")]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any field of a run file, such as train.lr=1e-5; of the policy by name alone.",
    ),
]
Seeds = Annotated[str | None, typer.Option("--seeds", help="A seed file, or a name given at import.")]
SeedCount = Annotated[int | None, typer.Option("--seed-count", min=1, help="Only the first so many seeds.")]
