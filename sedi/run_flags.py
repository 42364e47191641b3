"""Flags that `sedi run` and `sedi configure` share: both take a run file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sedi.options import DEFAULT_RUN, CommonOptions

if TYPE_CHECKING:
    from sedi.run_file.plan import RunPlan


@dataclass(frozen=True, kw_only=True)
class DescribedRun:
    """What describes a run: a group (`sedi.commands`)."""

    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A run file; `sedi init FILE` writes one.", show_default=False)
    ] = None
    run: Annotated[
        str | None,
        typer.Option("--run", envvar="SEDI_RUN", help=f"Name of the run. Default: the file's, or {DEFAULT_RUN}."),
    ] = None
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="`demo`, `self-instruct`, `goliath`, or a run file, in place of FILE."),
    ] = None
    mode: Annotated[str | None, typer.Option("--mode", help="`sedi` or the baseline `self-instruct`.")] = None
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any field of a run file, such as train.lr=1e-5; of the policy by name alone.",
        ),
    ] = None
    seeds: Annotated[str | None, typer.Option("--seeds", help="A seed file, or a name given at import.")] = None
    seed_count: Annotated[int | None, typer.Option("--seed-count", min=1, help="Only the first so many seeds.")] = None

    def planned(
        self, common: CommonOptions, flags: Mapping[tuple[str, str], Any] | None = None, **request: Any
    ) -> RunPlan:
        """The run with these and further flags, checked whole. Prints hints; raises ConfigurationError.

        request   further fields of `RunRequest`
        """
        from sedi.output import notify
        from sedi.run_file.plan import RunRequest, plan_run

        own = {
            ("--run", "run"): self.run,
            ("--mode", "policy.mode"): self.mode,
            ("--seeds", "seeds"): self.seeds,
            ("--seed-count", "seed_count"): self.seed_count,
        }
        plan = plan_run(
            RunRequest(
                file=self.file,
                preset=self.preset,
                pairs=self.set_ or (),
                flags=own | dict(flags or {}),
                bootstrap_servers=common.bootstrap_servers,
                state_dir=common.state_dir,
                **request,
            )
        )
        for hint in plan.hints:
            notify(hint)
        return plan
