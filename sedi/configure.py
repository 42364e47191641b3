"""`sedi configure`: a run's topics, policy, seeds and first classifier, and nothing started."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from sedi.options import DEFAULT_RUN, AsJson, Run, Servers, StateDir, cluster_of, epilog

if TYPE_CHECKING:
    from sedi.run_options import RunOptions


def register(app: typer.Typer) -> None:
    examples = epilog("sedi configure --run mine --set threshold=0.8", "sedi configure --preset self-instruct --json")
    app.command("configure", epilog=examples)(configure_command)


def configure_command(
    run: Run = DEFAULT_RUN,
    preset: Annotated[
        str | None, typer.Option("--preset", help="`demo`, `self-instruct`, or a TOML file: its policy and seeds.")
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="`sedi` or the baseline `self-instruct`.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A field of the policy.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="A seed file, or a name given at import.")] = None,
    seed_count: Annotated[int | None, typer.Option("--seed-count", min=1, help="Only the first so many seeds.")] = None,
    as_json: AsJson = False,
    bootstrap_servers: Servers = None,
    state_dir: StateDir = None,
) -> None:
    """Make a run and start nothing: its topics, policy, seeds and first classifier.

    Then start its parts one by one, on as many machines as you like; the three commands are printed. A run that is
    there already stays as it is; another policy or other seeds for it are refused. `sedi run` does all of it at once.
    """
    from sedi.configuring import configure
    from sedi.output import notify, print_json
    from sedi.run_options import read_options

    fields = [*(set_ or ()), *([f"mode={mode}"] if mode else ())]
    options = read_options(preset, {"seeds": seeds, "seed_count": seed_count}, fields)
    configured = configure(cluster_of(bootstrap_servers, state_dir), run, options, notify)
    following = commands_to_start(run, options, bootstrap_servers)
    if as_json:
        found = {"run": run, "new": configured.is_new, "seeds": configured.seeds, "policy": configured.policy}
        print_json(found | {"next": following})
    else:
        typer.echo("Start its parts, each on a machine of your choice:")
        for command in following:
            typer.echo(f"  {command}")


def commands_to_start(run: str, options: RunOptions, bootstrap_servers: str | None) -> list[str]:
    """The commands that start a run's parts, with what the preset says of them."""
    where = ["--run", run] + (["--bootstrap-servers", bootstrap_servers] if bootstrap_servers else [])
    parts = [["worker"], ["generate", *options.limits(), *options.generate], ["train", *options.train]]
    return [shlex.join(["sedi", name, *where, *further]) for name, *further in parts]
