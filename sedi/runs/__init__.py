"""`sedi runs`: what runs are on the cluster, who uses them, and deleting them. One module a sub-command."""

from __future__ import annotations

import typer

from sedi.commands import add_group
from sedi.runs import delete, expire, list_runs, show


def register(app: typer.Typer) -> None:
    add_group(
        app,
        "runs",
        "The runs on the cluster: list, show, delete, expire.",
        (list_runs.list_command, show.show, delete.delete, expire.expire),
        "sedi runs list",
    )
