"""`sedi configure`: a run's topics, policy, seeds and first classifier, and nothing started."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sedi.commands import command
from sedi.options import CommonOptions, words_of
from sedi.run_flags import DescribedRun

if TYPE_CHECKING:
    from schemas.policy import Policy
    from sedi.run_options import RunOptions


@command(
    "configure",
    "sedi configure mine.toml",
    "sedi configure --run mine --set threshold=0.8",
    "sedi configure --preset self-instruct --json",
)
def configure_command(described: DescribedRun, common: CommonOptions) -> None:
    """Make a run and start nothing: its topics, policy, seeds and first classifier.

    Then start its parts one by one, on as many machines as you like; the commands are printed. A run that is
    there already stays as it is; another policy or other seeds for it are refused. `sedi run` does all of it at once.
    """
    from infra.cluster.listener import require_listener
    from sedi.configuring import configure
    from sedi.output import notify, print_json

    plan = described.planned(common, here=False)
    require_listener(plan.settings)
    configured = configure(plan.settings, plan.run, plan.options, notify)
    following = commands_to_start(
        plan.options, configured.policy, common.bootstrap_servers, common.state_dir, plan.variables
    )
    if common.as_json:
        found = {"run": plan.run, "new": configured.is_new, "seeds": configured.seeds, "policy": configured.policy}
        print_json(found | {"next": following})
    else:
        typer.echo("\n  ".join(["Start its parts, each on a machine of your choice:", *following]))


def commands_to_start(
    options: RunOptions,
    policy: Policy,
    bootstrap_servers: str | None = None,
    state_dir: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> list[str]:
    """The commands that start a run's parts, after the variables that the file's [settings] come to."""
    where = words_of({"--run": options.run, "--bootstrap-servers": bootstrap_servers, "--state-dir": state_dir})
    parts = [["worker"], *(["generate", *arguments] for arguments in options.generators().values())]
    if options.corpus_arguments():
        parts.insert(1, ["corpus", *options.corpus_arguments()])
    if policy.answer == "kept":
        parts.append(["answer", *options.answer_arguments()])
    if options.trainer:
        parts.append(["train", *options.train])
    if options.judging:
        parts.append(["judge", *options.judge_arguments()])
    before = "".join(f"{name}={shlex.quote(value)} " for name, value in (variables or {}).items())
    return [before + shlex.join(_command(part, where)) for part in parts]


def _command(part: list[str], where: list[str]) -> list[str]:
    """The run and the cluster stand after the name of the command; `sedi corpus add` has two words."""
    words = 2 if part[0] == "corpus" else 1
    return ["sedi", *part[:words], *where, *part[words:]]
