"""`sedi doctor`: checks of this machine and its settings."""

from __future__ import annotations

import typer

from sedi.commands import command
from sedi.options import CommonOptions, ExitCode


@command("doctor", "sedi doctor", "sedi doctor --json")
def doctor(common: CommonOptions) -> None:
    """What this machine has and lacks, each with a remedy, and every setting with the origin of its value.

    Secrets are not shown. Ends with 1 when something required is missing.
    """
    from infra.machine.doctor import check
    from sedi.output import console, print_json, table

    checks = check(common.settings())
    if common.as_json:
        print_json(checks)
    else:
        rows = [(each.level, each.name, each.found) for each in checks]
        out = console()
        out.print(table("Checks", ("", "what", "found"), rows))
        for each in checks:
            if each.remedy is not None:
                out.print(f"{each.level}: {each.name}: {each.remedy}")
    if not all(each.ok for each in checks):
        raise typer.Exit(ExitCode.FAILED)
