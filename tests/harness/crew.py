"""The processes of a run, which may be killed, at chosen points or at any time, and are then restarted.

A `Crew` starts `sedi` commands as victims (`tests.harness.victims`) and restarts them when they end. The cluster keeps
a killed worker in its consumer group until its session times out, after six seconds; `forget_dead` removes it at once.
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kafka.admin import MemberToRemove

from infra.cluster.admin import administrator
from infra.distribution import python_module
from infra.settings import Settings, environment_of
from schemas.errors import BrokerError
from tests.harness import victims
from tests.harness.forked import Forked, fork

logging.getLogger("kafka.admin").setLevel(logging.ERROR)  # it cannot decode Faust's member metadata


@dataclass
class Member:
    """One process and its successors.

    deaths         (point, hit) of each life; further lives have none. A life that ends otherwise is lived again
    marks_before   deaths at the point of this life when it began
    """

    name: str
    arguments: tuple[str, ...]
    deaths: list[tuple[str, int]]
    environment: Mapping[str, str]
    process: Forked | None = None
    lives: int = 0
    marks_before: int = 0
    done: bool = False

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Crew:
    """The processes of one run; their output goes to `<folder>/<name>.log`."""

    settings: Settings
    run: str
    folder: Path
    members: dict[str, Member] = field(default_factory=dict)
    failed: int = 0

    def add(
        self, name: str, *arguments: str, deaths: Iterable[tuple[str, int]] = (), environment: Mapping[str, str] = {}
    ) -> Member:
        """Start `sedi <arguments> --run <run>`."""
        member = Member(name, (*arguments, "--run", self.run), list(deaths), environment)
        self.members[name] = member
        self._start(member)
        return member

    def tend(self) -> None:
        """Restart processes that died or failed; one that ended with 0 is done."""
        for member in self.members.values():
            if member.done or member.process is None or member.running:
                continue
            code = member.process.returncode
            if code == 0:
                member.done = True
                continue
            if code != -signal.SIGKILL:
                self.failed += 1
            if member.arguments[0] == "worker":
                self.forget_dead()
            self._live_again(member)
            self._start(member)

    def wait(self, until: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Tend until a condition holds. Raises AssertionError after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not until():
            self.tend()
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {timeout_s:.0f} s. {self._log_tails()}")
            time.sleep(0.1)

    def marks(self) -> list[str]:
        """The points at which processes died, in order."""
        path = self.folder / "marks"
        return path.read_text().splitlines() if path.exists() else []

    def kill(self, name: str) -> None:
        """SIGKILL a process. Its next life dies at the point that this one did not reach."""
        member = self.members[name]
        assert member.process is not None
        member.process.kill()
        member.process.wait()

    def end(self, name: str, timeout_s: float = 90.0) -> int:
        """SIGTERM a process and wait for its exit code."""
        member = self.members[name]
        member.done = True
        assert member.process is not None
        if member.running:
            member.process.terminate()
        return member.process.wait(timeout_s)

    def stop(self) -> None:
        """SIGKILL all processes."""
        for member in self.members.values():
            if member.running and member.process is not None:
                member.process.kill()
                member.process.wait()

    def forget_dead(self) -> None:
        """Remove the members of the worker's consumer group when none of its processes runs, if the cluster answers."""
        if any(member.running for member in self.members.values() if member.arguments[0] == "worker"):
            return
        group = f"sedi.{self.run}.worker"
        with suppress(BrokerError), administrator(self.settings, "test-undertaker", timeout_s=5.0) as admin:
            described = admin.describe_groups([group])[group]
            dead = [MemberToRemove(member_id=member["member_id"]) for member in described["members"]]
            if dead:
                admin.remove_group_members(group, dead)

    def _live_again(self, member: Member) -> None:
        """The life that has ended does not count if it did not end at its point."""
        due = member.deaths[member.lives - 1 : member.lives]
        if due and self.marks().count(due[0][0]) == member.marks_before:
            member.lives -= 1

    def _start(self, member: Member) -> None:
        further = dict(member.environment)
        if member.lives < len(member.deaths):
            at, hit = member.deaths[member.lives]
            member.marks_before = self.marks().count(at)
            further |= {"KILL_AT": at, "KILL_HIT": str(hit), "KILL_MARKS": str(self.folder / "marks")}
        member.lives += 1
        member.process = fork(
            victims.main,
            member.arguments,
            settings=self.settings,
            output=self.folder / f"{member.name}.log",
            folder=self.folder,
            further=further,
        )

    def _log_tails(self) -> str:
        tails = []
        for member in self.members.values():
            log = (self.folder / f"{member.name}.log").read_text(errors="replace")[-1500:]
            dying = member.deaths[member.lives - 1] if member.lives <= len(member.deaths) else "no point"
            tails.append(f"{member.name}, life {member.lives} ({dying}), log:\n{log}")
        return "\n".join(tails)


class SediProcesses(Crew):
    """A crew of the program as users start it, instead of forks of one that has imported everything."""

    def _start(self, member: Member) -> None:
        member.lives += 1
        with (self.folder / f"{member.name}.log").open("ab") as output:
            member.process = subprocess.Popen(  # type: ignore[assignment]
                python_module("sedi", *member.arguments),
                env={**os.environ, **environment_of(self.settings), **member.environment},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
