"""An archive gives back the same bytes, and detects changes."""

import gzip
import hashlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.log.archive import FORMAT, ArchiveFile, ArchiveManifest, ArchiveSource, line_of
from infra.log.record import Record
from schemas.errors import ConfigurationError, RunError

BYTES = st.none() | st.binary() | st.text().map(str.encode)
HEADERS = st.lists(st.tuples(st.text(), BYTES), max_size=4)
ODD = [
    Record("calls", 0, 0, 7, None, None, []),
    Record("calls", 0, 1, 7, b"", b"", [("h", b""), ("h", None), ("h", b"\xff"), ("", b"twice")]),  # type: ignore[list-item]
    Record("calls", 0, 2, 5, b"\xff\x00", b'{"base64": "AA=="}\n', [("x", "ü\u2028".encode())]),
]


def make(folder: Path, records: list[Record], *, suffix: str = ".jsonl", **changes: object) -> ArchiveSource:
    """An archive of one file with these records, and changes to its entry in the manifest."""
    folder.mkdir(exist_ok=True)
    raw = b"".join(line_of(record) for record in records)
    path = folder / f"calls-0{suffix}"
    path.write_bytes(gzip.compress(raw, mtime=0) if suffix.endswith(".gz") else raw)
    file = ArchiveFile(
        name=path.name,
        topic="calls",
        partition=0,
        start=records[0].offset,
        end=records[-1].offset + 1,
        records=len(records),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    write_manifest(folder, msgspec.structs.replace(file, **changes))
    return ArchiveSource(folder)


def write_manifest(folder: Path, *files: ArchiveFile, format: int = FORMAT, run: str = "r") -> None:
    manifest = ArchiveManifest(format=format, run=run, files=files)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))


def read(source: ArchiveSource) -> list[Record]:
    with source.open(["calls"]) as reading:
        return list(reading.rest())


def content(record: Record) -> tuple[object, ...]:
    return record.place, record.offset, record.timestamp_ms, record.key, record.value, record.headers


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_every_byte_comes_back_also_where_there_is_none(tmp_path: Path, suffix: str) -> None:
    source = make(tmp_path, ODD, suffix=suffix)
    source.verify()
    assert [content(record) for record in read(source)] == [content(record) for record in ODD]


@given(BYTES, BYTES, HEADERS)
def test_a_record_is_one_line_that_reads_back_as_it(
    tmp_path_factory: pytest.TempPathFactory, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    record = Record("calls", 0, 3, 9, key, value, headers)
    assert line_of(record).count(b"\n") == 1
    (back,) = read(make(tmp_path_factory.getbasetemp() / "one", [record]))
    assert content(back) == content(record)


def test_holes_in_the_offsets_are_read_as_holes(tmp_path: Path) -> None:
    source = make(tmp_path, [ODD[0], ODD[2]])
    assert [record.offset for record in read(source)] == [0, 2]


def test_reading_goes_on_from_where_it_is_told_to_and_partition_by_partition(tmp_path: Path) -> None:
    with make(tmp_path, ODD).open(["calls"]) as reading:
        assert (reading.starts(), reading.ends()) == ({("calls", 0): 0}, {("calls", 0): 3})
        reading.seek("calls", 0, 1)
        first = reading.next("calls", 0)
        assert first is not None and first.offset == 1
        assert [record.offset for record in reading.rest()] == [2]
        assert reading.next("calls", 0) is None
        reading.seek("calls", 0, 0)  # once more
        assert [record.offset for record in reading.rest()] == [0, 1, 2]


def test_an_edited_file_is_read_and_fails_the_check(tmp_path: Path) -> None:
    make(tmp_path, ODD)
    path = tmp_path / "calls-0.jsonl"
    path.write_bytes(path.read_bytes().replace(b"\xc3\xbc", b"u"))
    source = ArchiveSource(tmp_path)
    assert len(read(source)) == 3
    with pytest.raises(ConfigurationError, match=r"calls-0\.jsonl is damaged or was edited"):
        source.verify()


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@pytest.mark.parametrize("lost", [1, 9, 60])
def test_a_file_that_was_cut_off_is_an_error_when_reading_gets_there(tmp_path: Path, suffix: str, lost: int) -> None:
    source = make(tmp_path, ODD, suffix=suffix)
    path = tmp_path / f"calls-0{suffix}"
    path.write_bytes(path.read_bytes()[:-lost])
    if (suffix, lost) == (".jsonl", 1):  # only the last line's end is gone, the records are there
        assert len(read(source)) == 3
    else:
        with pytest.raises(ConfigurationError, match=r"calls-0"):
            read(source)
    with pytest.raises(ConfigurationError, match="SHA-256"):
        source.verify()


def test_a_file_that_lacks_whole_lines_is_an_error(tmp_path: Path) -> None:
    source = make(tmp_path, ODD)
    (tmp_path / "calls-0.jsonl").write_bytes(line_of(ODD[0]))
    with pytest.raises(ConfigurationError, match="has 1 records, and the manifest promises 3"):
        read(source)


@pytest.mark.parametrize(
    ("records", "changes"),
    [(ODD, {"end": 2}), (ODD, {"start": 1}), ([ODD[0], ODD[0]], {}), ([ODD[1], ODD[0]], {"start": 0, "end": 2})],
)
def test_offsets_other_than_the_manifest_promises_are_an_error(
    tmp_path: Path, records: list[Record], changes: dict[str, int]
) -> None:
    with pytest.raises(ConfigurationError, match=r"Line \d of .* has offset"):
        read(make(tmp_path, records, **changes))


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    source = make(tmp_path, ODD)
    path = tmp_path / "calls-0.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"base64":"/wA="}', b'{"base64":"?"}'))
    with pytest.raises(ConfigurationError, match=r"Line 3 of .* is not a record"):
        read(source)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    source = make(tmp_path, ODD)
    (tmp_path / "calls-0.jsonl").unlink()
    with pytest.raises(ConfigurationError, match=r"calls-0\.jsonl cannot be read"):
        source.verify()
    with pytest.raises(ConfigurationError, match=r"calls-0\.jsonl cannot be read"):
        read(source)


def test_a_topic_that_the_archive_has_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no topic kept"):
        make(tmp_path, ODD).open(["calls", "kept"])


def test_a_folder_that_is_no_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not an archive"):
        ArchiveSource(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b'{"format": 1, "run": 5}')
    with pytest.raises(ConfigurationError, match="is not a manifest"):
        ArchiveSource(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b'{"format": 2, "made": "otherwise"}')
    with pytest.raises(ConfigurationError, match="has format 2, and this program reads 1"):
        ArchiveSource(tmp_path)


@pytest.mark.parametrize("name", ["../calls-0.jsonl", "/etc/passwd", "..", ""])
def test_files_outside_the_folder_are_not_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="not in its folder"):
        make(tmp_path, ODD, name=name)


def test_a_manifest_with_a_partition_twice_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path, ODD).manifest.files[0]
    write_manifest(tmp_path, file, file)
    with pytest.raises(ConfigurationError, match="calls/0 twice"):
        ArchiveSource(tmp_path)


def test_a_manifest_with_an_impossible_run_name_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, make(tmp_path, ODD).manifest.files[0], run="../x")
    with pytest.raises(ConfigurationError, match="Run name"):
        ArchiveSource(tmp_path)
