"""`sedi archive` and `sedi restore`: a run's log as files, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sedi.commands import command
from sedi.options import DEFAULT_RUN, CommonOptions, Run


@command("archive", "sedi archive demo-archive --run demo --gzip")
def archive(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write it; must not exist yet.")],
    run: Run = DEFAULT_RUN,
    gzip: Annotated[bool, typer.Option("--gzip", help="Compress the files.")] = False,
    common: CommonOptions,
) -> None:
    """Write a run's whole log into a folder of files; the run may go on meanwhile.

    A file of JSON Lines for each partition, dead letters and the worker's tables included, and a manifest with the
    SHA-256 of each. Other commands read it with --from-files; `sedi restore` puts it back on a cluster.
    """
    from infra.log.archiving import write_archive
    from sedi.output import console, print_json
    from sedi.reading_progress import staged_progress

    with staged_progress("records") as show:
        manifest = write_archive(common.cluster(), run, folder, compress=gzip, show=show)
    size = sum(file.stat().st_size for file in folder.iterdir())
    records = sum(file.records for file in manifest.files)
    if common.as_json:
        print_json({"folder": folder, "bytes": size, "records": records, "manifest": manifest})
    else:
        console().print(
            f"Run {run}: {records:,} records of {len(manifest.files)} partitions written to {folder}, {size:,} bytes."
        )


@command("restore", "sedi restore demo-archive --bootstrap-servers 127.0.0.1:29092")
def restore(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An archive that `sedi archive` wrote.")],
    common: CommonOptions,
) -> None:
    """Put an archived run back on a cluster: same name, partitions, offsets, bytes and times.

    The archive is checked before anything is written, and the cluster is read back afterwards. A cluster with other
    records of the run is left unchanged. Run an interrupted restore again to continue it.
    """
    from infra.log.restoring import restore_archive
    from sedi.output import console, notify, print_json
    from sedi.reading_progress import staged_progress

    settings = common.cluster()
    try:
        with staged_progress("records") as show:
            found = restore_archive(settings, folder, show)
    except KeyboardInterrupt:
        notify(f"The restore is incomplete. Continue it with `sedi restore {folder}`; do not use the run until then.")
        raise
    if common.as_json:
        print_json(found)
    else:
        before = found.records - found.written
        already = f"; {before:,} of them were there already" if before else ""
        console().print(
            f"Run {found.run}: {found.records:,} records of {found.partitions} partitions restored{already}."
        )
