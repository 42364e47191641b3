"""`sedi broker`: the local Kafka broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sedi.commands import add_group, command
from sedi.options import CommonOptions, ExitCode

if TYPE_CHECKING:
    from infra.local_broker.broker import BrokerStatus


def register(app: typer.Typer) -> None:
    add_group(app, "broker", "The local Kafka broker: start, stop, status.", (start, stop, status))


@command("start", "sedi broker start")
def start(
    wait: Annotated[float, typer.Option("--wait", min=1.0, help="Seconds to wait for its first answer.")] = 60.0,
    *,
    common: CommonOptions,
) -> None:
    """Start the local broker and wait until it answers; downloads Kafka the first time. Does nothing when it runs."""
    from infra.local_broker import broker
    from sedi.output import notify

    _print(broker.start(common.settings(), wait, notify), common.as_json)


@command("stop", "sedi broker stop")
def stop(common: CommonOptions) -> None:
    """Stop the local broker; its data stays. Does nothing when it does not run."""
    from infra.local_broker import broker
    from sedi.output import notify

    settings = common.settings()
    ran = broker.status(settings).running
    found = broker.stop(settings)
    if common.as_json:
        _print(found, common.as_json)
    else:
        notify("The broker was stopped; its data stays." if ran else "The broker did not run.")


@command("status", "sedi broker status --json")
def status(common: CommonOptions) -> None:
    """Whether the local broker runs and answers; of another cluster, whether it answers.

    Ends with 3 when it does not answer.
    """
    from consumers.status import health
    from infra.local_broker import broker

    settings = common.settings()
    if settings.is_local:
        found = broker.status(settings)
        _print(found, common.as_json)
        healthy = found.healthy
    else:
        from sedi.output import console, print_result

        cluster = health(settings)
        print_result(cluster, lambda found: console().print(found.detail, soft_wrap=True), as_json=common.as_json)
        healthy = cluster.healthy
    if not healthy:
        raise typer.Exit(ExitCode.UNREACHABLE)


def _print(found: BrokerStatus, as_json: bool) -> None:
    from sedi.output import console, print_json

    if as_json:
        print_json(found)
        return
    out = console()
    out.print(f"{found.detail} Kafka {found.version} at {found.bootstrap}, pid {found.pid or '–'}.", soft_wrap=True)
    out.print(f"Data: {found.data_dir}\nLog:  {found.log_file}", soft_wrap=True)
