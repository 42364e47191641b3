"""`sedi broker`: the local Kafka broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sedi.options import AsJson, ExitCode, Servers, StateDir, epilog, settings_of

if TYPE_CHECKING:
    from infra.local_broker.broker import BrokerStatus


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The local Kafka broker: start, stop, status.", no_args_is_help=True)
    group.command("start", epilog=epilog("sedi broker start"))(start)
    group.command("stop", epilog=epilog("sedi broker stop"))(stop)
    group.command("status", epilog=epilog("sedi broker status --json"))(status)
    app.add_typer(group, name="broker")


def start(
    wait: Annotated[float, typer.Option("--wait", min=1.0, help="Seconds to wait for its first answer.")] = 60.0,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Start the local broker and wait until it answers; downloads Kafka the first time. Does nothing when it runs."""
    from infra.local_broker import broker
    from sedi.output import notify

    _print(broker.start(settings_of(bootstrap_servers, state_dir), wait, notify), as_json)


def stop(as_json: AsJson = False, bootstrap_servers: Servers = None, state_dir: StateDir = None) -> None:
    """Stop the local broker; its data stays. Does nothing when it does not run."""
    from infra.local_broker import broker
    from sedi.output import notify

    settings = settings_of(bootstrap_servers, state_dir)
    ran = broker.status(settings).running
    found = broker.stop(settings)
    if as_json:
        _print(found, as_json)
    else:
        notify("The broker was stopped; its data stays." if ran else "The broker did not run.")


def status(as_json: AsJson = False, bootstrap_servers: Servers = None, state_dir: StateDir = None) -> None:
    """Whether the local broker runs and answers; of another cluster, whether it answers.

    Ends with 3 when it does not answer.
    """
    from consumers.status import health
    from infra.local_broker import broker

    settings = settings_of(bootstrap_servers, state_dir)
    if settings.is_local:
        found = broker.status(settings)
        _print(found, as_json)
        healthy = found.healthy
    else:
        from sedi.output import console, print_json

        cluster = health(settings)
        if as_json:
            print_json(cluster)
        else:
            console().print(cluster.detail, soft_wrap=True)
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
