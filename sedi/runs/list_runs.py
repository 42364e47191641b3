"""`sedi runs list`."""

from __future__ import annotations

from sedi.commands import command
from sedi.options import CommonOptions


@command("list", "sedi runs list", "sedi runs list --json")
def list_command(common: CommonOptions) -> None:
    """The runs on the cluster: records, bytes on the brokers, first and last record, and who is at work on them.

    Reads no record. At work are members of a run's consumer groups, on any machine, and `sedi` processes of this
    machine. A run without some of its topics is marked: it was half made or half deleted.
    """
    from sedi.output import print_result
    from sedi.runs.found import listed_runs
    from sedi.runs.tables import show_list

    settings = common.cluster()
    print_result(listed_runs(settings), lambda found: show_list(found, settings), as_json=common.as_json)
