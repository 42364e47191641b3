"""`sedi web`: the page of a run."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.distribution import require
from schemas.topics import check_run_name
from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions

if TYPE_CHECKING:
    from consumers.explain.schema.explanation import Explanation
    from consumers.folds.deduplicate import ReadProgress
    from consumers.index.follow import Follower
    from infra.log.source import Source
    from infra.settings import Settings

_OTHERS_S = 30.0


@command(
    "web",
    "sedi web --run demo",
    "sedi web --from-files archive --port 8080",
    "export SEDI_WEB_TOKEN=$(openssl rand -hex 16)",
    "sedi web --run demo --host 0.0.0.0",
)
def web(
    *,
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", envvar="SEDI_RUN", help=f"Name of the run; may be repeated. Default: {DEFAULT_RUN}."),
    ] = None,
    from_files: Annotated[
        list[Path] | None,
        typer.Option("--from-files", metavar="FOLDER", help="Show an archive of a run; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0: any that is free.")] = 8765,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at. Another than this machine's own needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="SEDI_WEB_TOKEN", help="Who looks must have it: 16 characters or more."),
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", min=0, help="The run's budget, to show the spending against.")
    ] = None,
    common: CommonOptions,
) -> None:
    """A page that shows a run as it goes on: rates, rows with their stories, seeds, training, calls, and the log.

    It reads the log into an index on disk (in the state folder), and goes on there when it is started again. It fetches
    nothing from another host, and changes nothing on the log; but with a token a document can be withdrawn from a row's
    story. Ctrl-C or SIGTERM ends it. With --json it prints its
    address as JSON.
    """
    require("web", "sedi web")
    from consumers.index.follow import follower
    from consumers.web.server import PageServer
    from infra.metrics.declared import WEB
    from infra.observed import observed
    from sedi.output import notify, print_json

    archives = from_files or []
    names = [check_run_name(name) for name in runs or ([] if archives else [DEFAULT_RUN])]
    settings = common.cluster() if names else common.settings()
    with ExitStack() as ends:
        found: dict[str, Follower] = {}
        for run, archive in [*((name, None) for name in names), *((None, folder) for folder in archives)]:
            opened = ends.enter_context(follower(settings, run, archive))
            found[_free(opened.source.run, found)] = opened
        ends.enter_context(observed(settings, "", WEB, own_server=False, needs_cluster=bool(names)))
        server = PageServer(
            found,
            host=host,
            port=port,
            token=token,
            explain=_explain,
            others=_OtherRuns(settings, names) if names else list,
            max_usd=max_usd,
            acts={"withdraw-document": _WithdrawDocument(settings)},
        )
        ends.callback(server.close)
        address = server.access.address
        if common.as_json:
            print_json({"address": address, "runs": list(found)})
            sys.stdout.flush()
        also = ", with ?token= and the token after it the first time" if token is not None else ""
        notify(f"The page is at {address}{also}. Ctrl-C ends it.")
        server.serve()


def _free(name: str, taken: dict[str, Follower]) -> str:
    """The run's name in addresses: with a number where there are several of one name."""
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _explain(source: Source, id: str, progress: ReadProgress) -> Explanation:
    from consumers.explain.story import explain
    from sedi.rebuilt_prompts import with_prompts

    return with_prompts(explain(source, id, progress))


class _WithdrawDocument:
    """`sedi corpus withdraw` from the page."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, run: str, arguments: Mapping[str, str], confirmed: bool) -> list[str]:
        from producers.documents.corpus.withdraw import withdraw_documents

        named, reason = [arguments.get("document", "")], arguments.get("reason", "")
        found = withdraw_documents(self._settings, run, named, reason, dry_run=not confirmed)
        said = [f"Withdrawn: {id}" if confirmed else f"Would be withdrawn: {id}" for id in found.withdrawn]
        said += [f"Withdrawn before: {id}" for id in found.before]
        if found.withdrawn:
            said.append(
                "Nothing more is made from them, and no data set and no training takes a row from them. This stays on "
                "the log, with the reason, and cannot be taken back."
            )
        return said


class _OtherRuns:
    """Further runs on the cluster, asked for at most every 30 s; none while it does not answer.

    Nobody waits for another's question: meanwhile the names are those of before.
    """

    def __init__(self, settings: Settings, shown: list[str]) -> None:
        self._settings = settings
        self._shown = shown
        self._asking = threading.Lock()
        self._asked_at = -math.inf
        self._names: list[str] = []

    def __call__(self) -> list[str]:
        from infra.cluster.run_names import run_names
        from schemas.errors import BrokerError

        if time.monotonic() - self._asked_at > _OTHERS_S and self._asking.acquire(blocking=False):
            try:
                self._names = [name for name in run_names(self._settings, 3.0) if name not in self._shown]
            except BrokerError:
                self._names = []
            finally:
                self._asked_at = time.monotonic()
                self._asking.release()
        return self._names
