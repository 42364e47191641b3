"""The parts of a run that make instructions: a generator from seeds, one from documents, and what adds the documents.

The documents are added first, and the generator from them starts when that is done. The generator from seeds does not
wait for it.
"""

from dataclasses import dataclass

from infra.log.reader import LogReader
from infra.machine.supervisor import Supervisor
from infra.settings import Settings
from schemas.events import GenerationHalted, RunStarted
from sedi.run_options import FROM_DOCUMENTS, RunOptions

CORPUS = "corpus"
ALL_USED = "all documents are used"
"""In the last lines of a generator from documents that has ended because of it."""


@dataclass(frozen=True)
class Producing:
    """These parts of one run, as children of a supervisor."""

    run: str
    options: RunOptions

    @property
    def names(self) -> list[str]:
        """Of all that may be at work."""
        return [CORPUS, *self.options.generators()]

    def start(self, supervisor: Supervisor) -> None:
        """Start what can start now and is not there yet."""
        children, corpus = supervisor.children, self.options.corpus_arguments()
        if corpus and CORPUS not in children:
            supervisor.start(CORPUS, ["corpus", *corpus, "--run", self.run])
        reads = bool(corpus) and supervisor.ended(CORPUS) != 0
        for name, arguments in self.options.generators().items():
            if name not in children and not (name == FROM_DOCUMENTS and reads):
                supervisor.start(name, ["generate", "--run", self.run, *arguments])

    def adds_documents(self, supervisor: Supervisor) -> bool:
        """Whether documents are still being added."""
        return bool(self.options.corpus_arguments()) and CORPUS in self.at_work(supervisor)

    def at_work(self, supervisor: Supervisor) -> list[str]:
        """Those that were started and have not ended."""
        return [name for name in self.names if name in supervisor.children and supervisor.ended(name) is None]

    def have_ended(self, supervisor: Supervisor) -> bool:
        """Whether all generators have ended by themselves, as they were asked to."""
        names = self.options.generators()
        return all(name in supervisor.children and supervisor.ended(name) == 0 for name in names)

    def why_ended(self, supervisor: Supervisor) -> str:
        """Why they have, for people."""
        alone = not self.options.from_seeds
        return (
            ALL_USED
            if alone and ALL_USED in supervisor.tail(FROM_DOCUMENTS)
            else "the generator has reached its budget"
        )

    def quoted(self, supervisor: Supervisor) -> str:
        """The generator whose last line is shown when none moves: the first at work."""
        working = [name for name in self.at_work(supervisor) if name != CORPUS]
        return (working or list(self.options.generators()))[0]


def halted_since_start(settings: Settings, run: str) -> str | None:
    """Why the stall guard ended a generator since this run was started, or None."""
    with LogReader(settings, run, ["run"]) as reader:
        events = [record.event for record in reader.read_to_end()]
    since = max((at for at, event in enumerate(events) if isinstance(event, RunStarted)), default=-1)
    return next((event.reason for event in events[since + 1 :] if isinstance(event, GenerationHalted)), None)
