"""What the page asks for, as JSON. Each run is under `/api/runs/NAME/`; only acts (`consumers.web.acts`) change a run.

Numbers are those of `consumers.report` and `consumers.status`, from the run's one fold; rows and records are looked up
in its index.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from consumers.folds.deduplicate import ReadProgress
from consumers.index import log_lines, rows, series, tables
from consumers.index.follow import Follower
from consumers.index.run_index import INDEXED
from consumers.report import report_of
from consumers.seed_table import replacement_rows, seed_rows
from consumers.tail import as_line
from consumers.web.acts import Act, PageActs
from consumers.web.answers import FRESH, OneAtATime, answering, as_json, number, refused, while_wanted
from consumers.web.story import Explain, row_in_short, told
from consumers.web.stream import events, status_json
from consumers.web.studies import PageStudies, is_evaluated
from infra.log.record import Partition
from infra.log.source import TOPICS
from schemas.errors import ConfigurationError, RunError, SediError

_STORIES = 64  # that are kept, of archives: the last ones


@dataclass(frozen=True)
class PageApi:
    """The runs of a page.

    runs       by the name that they have in addresses
    others     names of further runs on the cluster
    explain    tells a row's whole story from a log
    max_usd    the budget to show the spending against; None: none is known
    stopping   whether the server ends, and with it what comes in
    acts       what can be done from the page
    """

    runs: Mapping[str, Follower]
    others: Callable[[], list[str]]
    explain: Explain
    max_usd: float | None
    stopping: Callable[[], bool]
    acts: Mapping[str, Act] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        at_work = OneAtATime("The log is being read for another row. Ask again in a second.")
        kept: dict[tuple[str, str], dict[str, Any]] = {}

        def row_story(request: Request, watch: ReadProgress) -> Response:
            """The whole story; the log is read for it. Of an archive it never changes."""
            name, id = request.path_params["run"], request.path_params["id"]
            follower = self._follower(request)
            if (known := kept.get((name, id))) is not None:
                return as_json(known)

            def read() -> dict[str, Any]:
                found = told(self.explain(follower.source, id, watch))
                if not follower.live:
                    if len(kept) == _STORIES:
                        del kept[next(iter(kept))]
                    kept[name, id] = found
                return found

            return at_work(read)

        run = "/api/runs/{run}"
        asked: dict[str, Callable[[Request], Any]] = {
            "/api/runs": self._runs,
            f"{run}/status": self._status,
            f"{run}/report": lambda request: as_json(self._follower(request).index.look(report_of)),
            f"{run}/yield": lambda request: self._looked_up(request, series.yield_curve),
            f"{run}/rows": self._rows,
            f"{run}/facets": lambda request: self._looked_up(request, lambda c: rows.facets(c, _filter(request))),
            f"{run}/rows/{{id}}": self._row,
            f"{run}/log": self._log,
            f"{run}/record": self._record,
            f"{run}/seeds": self._seeds,
            f"{run}/seeds/{{id}}": lambda request: self._looked_up(
                request, lambda c: series.seed_points(c, request.path_params["id"])
            ),
            f"{run}/training": lambda request: self._looked_up(
                request, lambda c: {"steps": series.steps(c), "windows": series.windows(c)}
            ),
            f"{run}/calls": lambda request: self._looked_up(request, _calls),
            **PageStudies(self._follower, self.stopping).routes(run),
        }
        return [
            *(Route(path, answering(function), methods=["GET"]) for path, function in asked.items()),
            Route(f"{run}/rows/{{id}}/story", while_wanted(row_story), methods=["GET"]),
            Route(f"{run}/events", self._events, methods=["GET"]),
            *PageActs(self.acts, self._run_on_the_cluster).routes(run),
        ]

    def _follower(self, request: Request) -> Follower:
        name = request.path_params["run"]
        if name not in self.runs:
            raise RunError(f"The page has no run {name!r}. It has {', '.join(self.runs)}.")
        return self.runs[name]

    def _run_on_the_cluster(self, request: Request) -> str:
        follower = self._follower(request)
        if not follower.live:
            raise RunError(f"{follower.source.name} is an archive, which nothing changes.")
        return follower.source.run

    def _looked_up(self, request: Request, read: Callable[[Any], Any]) -> Response:
        with tables.reading(self._follower(request).index.file) as connection:
            return as_json(read(connection))

    def _runs(self, request: Request) -> Response:
        found = [
            {
                "name": name,
                "run": follower.source.run,
                "source": follower.source.name,
                "live": follower.live,
                "status": follower.state.status,
                "evaluated": is_evaluated(follower),
            }
            for name, follower in self.runs.items()
        ]
        return as_json(
            {
                "runs": found,
                "others": self.others(),
                "topics": INDEXED,
                "max_usd": self.max_usd,
                "acts": list(self.acts),
            }
        )

    def _status(self, request: Request) -> Response:
        follower = self._follower(request)
        position = log_lines.position_text(follower.index.committed)
        return Response(status_json(follower.state, position), media_type="application/json", headers=FRESH)

    def _rows(self, request: Request) -> Response:
        before = request.query_params.get("before")
        place = None
        if before is not None:
            offset, _, nth = before.partition(".")
            place = number("before", offset), number("before", nth)
        return self._looked_up(request, lambda connection: rows.page(connection, _filter(request), place))

    def _row(self, request: Request) -> Response:
        follower, id = self._follower(request), request.path_params["id"]
        with tables.reading(follower.index.file) as connection:
            found = follower.index.look(lambda fold: row_in_short(connection, fold, id))
        if found is None:
            raise RunError(f"There is no instruction {id!r} in run {follower.source.run!r}.")
        return as_json(found)

    def _log(self, request: Request) -> Response:
        follower, topics = self._follower(request), _topics(request)
        ends = {place: end for place, end in follower.index.committed.items() if place[0] in topics}
        asked = request.query_params
        with tables.reading(follower.index.file) as connection:
            if "from" in asked:
                begun = _begun_at(connection, ends, asked["from"])
                return as_json(log_lines.after(connection, ends, begun))
            if "after" in asked:
                return as_json(log_lines.after(connection, ends, log_lines.parse_position(asked["after"])))
            positions = log_lines.parse_position(asked.get("before", ""))
            return as_json(log_lines.before(connection, ends, positions))

    def _record(self, request: Request) -> Response:
        """One record, whole, from the log itself."""
        follower, asked = self._follower(request), request.query_params
        topic, part = asked.get("topic", ""), number("part", asked.get("part", ""))
        at = number("at", asked.get("at", ""))
        if topic not in INDEXED:
            raise ConfigurationError(f"There is no topic {topic!r} in a run.")
        with follower.source.open([topic]) as reading:
            if (topic, part) in reading.ends():
                reading.seek(topic, part, at)
                record = reading.next(topic, part)
                if record is not None and record.offset == at:
                    text = (record.value or b"").decode(errors="backslashreplace")
                    return as_json({**as_line(record), "raw": text if record.decoded is None else None})
        raise RunError(f"There is no record {at} of {topic}/{part}.")

    def _seeds(self, request: Request) -> Response:
        found = self._follower(request).index.look(
            lambda fold: {"seeds": seed_rows(fold), "replacements": replacement_rows(fold)}
        )
        return as_json(found)

    async def _events(self, request: Request) -> Response:
        try:
            follower = self._follower(request)
            topics = _topics(request) if "topics" in request.query_params else frozenset()
            last = request.headers.get("last-event-id")
            text = last if last is not None and topics else request.query_params.get("from", "")
            coming = events(follower, topics, log_lines.parse_position(text), self.stopping)
        except SediError as error:
            return refused(error)
        return StreamingResponse(coming, media_type="text/event-stream", headers=FRESH)


def _filter(request: Request) -> rows.RowFilter:
    asked: dict[str, Any] = {
        name: value
        for name, value in request.query_params.items()
        if name in rows.RowFilter.__struct_fields__ and value
    }
    if "cluster" in asked:
        asked["cluster"] = number("cluster", asked["cluster"])
    return rows.RowFilter(**asked)


def _begun_at(connection: Any, ends: Mapping[Partition, int], text: str) -> dict[Partition, int]:
    """A position by places, as kept/0:120, or by a time in ms."""
    if text.isdecimal():
        return log_lines.from_time(connection, ends, number("from", text))
    return log_lines.from_place(connection, ends, log_lines.parse_position(text))


def _topics(request: Request) -> frozenset[str]:
    topics = frozenset(request.query_params.get("topics", "").split(",")) - {""} or frozenset(TOPICS)
    unknown = sorted(topics - set(INDEXED))
    if unknown:
        raise ConfigurationError(f"There is no topic {unknown[0]!r} in a run. Choose from {', '.join(INDEXED)}.")
    return topics


def _calls(connection: Any) -> dict[str, Any]:
    return {
        "series": series.calls_over_time(connection),
        "recent": series.recent_calls(connection),
        "failures": series.call_failures(connection),
        "latency_s": series.latencies(connection),
    }
