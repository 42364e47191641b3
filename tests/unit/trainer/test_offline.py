"""Rows that are all there: which cluster each is of, and that a feed gives each once, in its order, and ends."""

from pathlib import Path

import msgspec
import pytest

from consumers.export.run import ExportOptions, export
from consumers.trainer.data.archive_feed import MemoryFeed, SourceFeed
from consumers.trainer.data.log_feed import Feed
from consumers.trainer.data.offline import from_archive, from_file
from consumers.trainer.options import TrainOptions
from infra.log.archive import ArchiveSource
from schemas.errors import ConfigurationError
from schemas.events import InstructionKept
from streams.core.batches import KeptRow, PartitionPosition
from tests.golden import HERE
from tests.golden.edits import Log
from tests.unit.trainer.tiny import kept

GOLDEN = HERE / "undisturbed"


def all_of(
    feed: Feed, positions: dict[int, PartitionPosition], limits: dict[int, PartitionPosition] | None = None
) -> list[KeptRow]:
    feed.open(positions, limits)
    rows: list[KeptRow] = []
    for _ in range(1_000):
        fed = feed.take(0.0)
        rows += fed.rows
        if fed.at_end:
            return rows
    raise AssertionError("the feed does not end")


def by_cluster(rows: list[KeptRow]) -> dict[int, list[tuple[int, str]]]:
    found: dict[int, list[tuple[int, str]]] = {}
    for row in rows:
        found.setdefault(row.kept.cluster, []).append((row.offset, row.kept.id))
    return found


def on_golden(folder: Path = GOLDEN) -> dict[int, list[tuple[int, str]]]:
    with ArchiveSource(folder).open(["kept"]) as reading:
        return by_cluster([KeptRow(r.offset, r.event) for r in reading.rest() if isinstance(r.event, InstructionKept)])


FROM_START = {cluster: PartitionPosition() for cluster in range(2)}


def test_an_archive_gives_the_partitions_as_they_are() -> None:
    origin = from_archive(GOLDEN)
    found = by_cluster(all_of(origin.feed, FROM_START))
    origin.feed.close()
    assert found == on_golden()
    assert origin.rows == sum(map(len, found.values())) > 2
    assert (origin.policy.batch_size, origin.run) == (2, ArchiveSource(GOLDEN).run)


def test_a_pass_begins_at_its_positions_and_ends_before_its_limits() -> None:
    whole = on_golden()
    for feed in (from_archive(GOLDEN).feed, MemoryFeed([kept(n, n % 2) for n in range(40)])):
        all_rows = by_cluster(all_of(feed, FROM_START))
        part = all_of(
            feed, {0: PartitionPosition(1), 1: PartitionPosition(2)}, {0: PartitionPosition(3), 1: PartitionPosition(2)}
        )
        assert by_cluster(part) == {0: all_rows[0][1:3]}
        assert by_cluster(all_of(feed, {1: PartitionPosition()})) == {1: all_rows[1]}
        feed.close()
    assert whole


def test_what_cannot_be_read_is_passed_over_with_a_word(tmp_path: Path) -> None:
    log = Log(GOLDEN)
    log.overwrite("kept", 1, "not JSON", 0)
    feed = SourceFeed(log.write(tmp_path / "edited"))
    feed.open(FROM_START, None)
    fed = feed.take(0.0)
    feed.close()
    assert [note for note in fed.notes if "Offset 1 of partition 0" in note]
    assert 1 not in [row.offset for row in fed.rows if row.kept.cluster == 0]


def test_an_exported_file_has_the_clusters_and_ids_of_its_rows(tmp_path: Path) -> None:
    export(ArchiveSource(GOLDEN), tmp_path / "data", ExportOptions())
    origin = from_file(tmp_path / "data" / "alpaca.json", None)
    wanted = {cluster: [id for _, id in rows] for cluster, rows in on_golden().items()}
    found = by_cluster(all_of(origin.feed, FROM_START))
    assert {cluster: [id for _, id in rows] for cluster, rows in found.items()} == wanted
    assert (origin.run, origin.policy.batch_size) == (ArchiveSource(GOLDEN).run, 2)


def test_lineage_of_other_rows_is_refused(tmp_path: Path) -> None:
    export(ArchiveSource(GOLDEN), tmp_path / "data", ExportOptions())
    other = tmp_path / "data" / "other.json"
    other.write_bytes(msgspec.json.encode([{"instruction": "One."}]))
    with pytest.raises(ConfigurationError, match="folder of its own"):
        from_file(other, None)


def test_an_exported_file_takes_another_batch_size_by_putting_clusters_together(tmp_path: Path) -> None:
    export(ArchiveSource(GOLDEN), tmp_path / "data", ExportOptions())
    path = tmp_path / "data" / "alpaca.json"
    for batch_size, clusters in ((8, 2), (3, 1), (None, 2)):
        origin = from_file(path, batch_size)
        assert (origin.policy.batch_size, origin.policy.clusters) == (batch_size or 2, clusters)
        rows = all_of(origin.feed, {cluster: PartitionPosition() for cluster in range(clusters)})
        for cluster in range(clusters):
            keys = [row.key for row in rows if row.kept.cluster == cluster]
            assert keys == sorted(keys)
        assert len(rows) == origin.rows


def test_rows_of_any_other_file_are_dealt_out_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(msgspec.json.encode([{"instruction": f"Task {n}", "output": "x"} for n in range(10)]))
    origin = from_file(path, 4)
    rows = all_of(origin.feed, {cluster: PartitionPosition() for cluster in range(4)})
    found = {row.kept.instruction: (row.kept.cluster, row.offset) for row in rows}
    assert found == {f"Task {n}": (n % 4, n // 4) for n in range(10)}
    assert len({row.kept.id for row in rows}) == 10
    assert (origin.run, origin.steps(3), from_file(path, None).policy.batch_size) == ("rows", 6, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": Path("x")}, "--offline"),
        ({"from_files": Path("x")}, "--offline"),
        ({"offline": True, "data": Path("x"), "from_files": Path("y")}, "not both"),
        ({"batch_size": 4}, "batch_size"),
        ({"eval_rows": 3}, "eval_file"),
        ({"eval_every": 3}, "eval_file"),
        ({"eval_file": Path("x"), "eval_every": 0}, "at least 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TrainOptions(run="r", model="m", **changes)  # type: ignore[arg-type]


def test_a_falling_rate_may_be_asked_for_offline_where_the_number_of_steps_is_known() -> None:
    options = TrainOptions(run="r", model="m", schedule="cosine", offline=True, data=Path("x"))
    assert (options.planned, options.from_log) == (None, False)
