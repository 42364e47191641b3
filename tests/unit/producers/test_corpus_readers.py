"""Every form of file becomes texts; what cannot be read is said with its place, and the rest goes on."""

import gzip
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from pypdf import PdfWriter

from producers.documents.corpus.files import corpus_files
from producers.documents.corpus.readers import FoundText, ReadOptions, read_file
from producers.documents.corpus.readers.parquet_rows import decoded
from schemas.errors import ConfigurationError, SediError

TEXT = "A pond is still water. It is fed by rain."
PAGE = (
    "<html><head><title>Ponds</title></head><body><nav><a href='/a'>Home</a></nav><article><h1>Ponds</h1>"
    + "".join(
        f"<p>Pond {n} is a body of still water that is fed by rain, by springs or by a stream.</p>" for n in range(8)
    )
    + "</article><script>alert('no text')</script></body></html>"
)


def pdf(*lines: str) -> bytes:
    """A PDF of one page, written by hand."""
    shown = b"BT /F1 12 Tf 72 720 Td " + b" ".join(f"({line}) Tj 0 -20 Td".encode() for line in lines) + b" ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(shown), shown),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, at = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        at.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % each for each in at)
    start = len(out)
    return (
        out
        + b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % start
    )


def parquet(folder: Path) -> bytes:
    file = folder / "made"
    pl.DataFrame({"content": [TEXT, "Another."], "licence": ["CC0", None], "title": ["Ponds", ""]}).write_parquet(file)
    return file.read_bytes()


FORMS: dict[str, Callable[[Path], bytes]] = {
    "a.txt": lambda _: TEXT.encode(),
    "utf16.txt": lambda _: TEXT.encode("utf-16"),
    "latin.txt": lambda _: b"Caf\xe9 " + TEXT.encode(),
    "a.md": lambda _: f"# Ponds\n\n{TEXT}".encode(),
    "a.html": lambda _: PAGE.encode(),
    "a.pdf": lambda _: pdf("A pond is still water.", "It is fed by rain."),
    "a.jsonl": lambda _: json.dumps({"text": TEXT, "title": "Ponds", "license": "CC0"}).encode() + b"\n\n",
    "a.json": lambda _: json.dumps([TEXT]).encode(),
    "a.parquet": parquet,
}


def read(folder: Path, name: str, raw: bytes, **options: object) -> list[FoundText]:
    (folder / name).write_bytes(raw)
    (file,) = corpus_files([folder / name]).files
    return list(read_file(file, ReadOptions(**options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", FORMS)
def test_a_file_of_each_form_is_read_packed_or_not(tmp_path: Path, name: str, packed: bool) -> None:
    raw = FORMS[name](tmp_path)
    found = read(tmp_path, f"{name}.gz" if packed else name, gzip.compress(raw) if packed else raw)

    assert [each.wrong for each in found] == [""] * len(found)
    assert "still water" in found[0].text and "alert" not in found[0].text
    assert (found[0].place, found[0].source) == (0, f"{name}.gz" if packed else name)
    if name in ("a.md", "a.html", "a.jsonl", "a.parquet"):
        assert found[0].title == "Ponds"
    if name in ("a.jsonl", "a.parquet"):
        assert found[0].licence == "CC0"


def test_bad_lines_are_unreadable_documents_and_the_others_are_read(tmp_path: Path) -> None:
    lines = [
        b'{"text": "One."}',
        b"{broken",
        b"17",
        b'{"text": 5}',
        b'{"other": "x"}',
        b'{"text": "Two."}',
        b"\xff\xfe",
    ]

    found = read(tmp_path, "a.jsonl", b"\n".join(lines))

    assert [each.text for each in found] == ["One.", "", "", "", "", "Two.", ""]
    assert [each.place for each in found] == list(range(7))
    assert "line 2 is no JSON" in found[1].wrong and "--text-column" in found[4].wrong
    assert all(each.wrong for each in found if not each.text)


def test_the_column_of_the_text_can_be_named(tmp_path: Path) -> None:
    row = json.dumps({"text": "Not this.", "story": TEXT}).encode()
    assert read(tmp_path, "a.jsonl", row, text_column="story")[0].text == TEXT
    assert "--text-column" in read(tmp_path, "a.jsonl", row, text_column="none")[0].wrong


def test_a_column_that_a_parquet_file_lacks_is_said_and_no_other_is_taken(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "a.parquet", parquet(tmp_path), text_column="story")
    assert found.text == "" and "no text column named story" in found.wrong


def test_a_long_title_is_cut_so_that_the_event_fits_into_a_record(tmp_path: Path) -> None:
    row = json.dumps({"text": TEXT, "title": "T" * 2_000_000, "licence": "L" * 2_000_000}).encode()
    (found,) = read(tmp_path, "a.jsonl", row)
    assert (len(found.title), len(found.licence or ""), found.text) == (1_000, 1_000, TEXT)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_file_that_is_too_long_is_counted_in_characters(tmp_path: Path, encoding: str) -> None:
    text = "\u20ac\U0001f600" * 2_000
    (found,) = read(tmp_path, "a.txt", text.encode(encoding), max_characters=1_000)
    assert (found.text, found.characters, found.wrong) == ("", len(text), "")


@pytest.mark.parametrize("name", FORMS)
def test_a_packed_file_of_each_form_that_breaks_off_ends_with_one_that_is_wrong(tmp_path: Path, name: str) -> None:
    packed = gzip.compress(FORMS[name](tmp_path))
    found = read(tmp_path, f"{name}.gz", packed[:-12])
    assert found[-1].wrong and not found[-1].text and not any(each.wrong for each in found[:-1])


def test_a_file_that_cannot_be_opened_is_unreadable_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b.txt").write_text(TEXT)
    gone, there = (found for file in corpus_files([tmp_path]).files for found in read_file(file, ReadOptions()))
    assert (gone.source, gone.text, there.text) == ("a.txt", "", TEXT)
    assert gone.wrong and str(tmp_path) not in gone.wrong, "the same on every machine"


def test_a_file_that_breaks_off_gives_what_came_before_and_one_that_is_wrong(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": f"{n} " + "x" * 997}) + "\n" for n in range(3_000)).encode()
    packed = gzip.compress(rows, compresslevel=0)

    found = read(tmp_path, "a.jsonl.gz", packed[: len(packed) // 2])

    assert len(found) > 1_000 and not any(each.wrong for each in found[:-1])
    assert found[-1].wrong and found[-1].place == found[-2].place + 1


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("a.txt", b"\x00\x01\xff", "no text"),
        ("a.pdf", b"%PDF-1.4 damaged", "damaged"),
        ("a.json", b'{"text": "x"}', "no JSON list"),
        ("a.parquet", b"PAR1", "damaged"),
        ("a.txt.gz", b"no gzip", "gzip"),
    ],
)
def test_a_damaged_file_is_one_unreadable_document(tmp_path: Path, name: str, raw: bytes, said: str) -> None:
    (found,) = read(tmp_path, name, raw)
    assert said in found.wrong.lower() or said in found.wrong
    assert found.text == ""


def test_a_parquet_file_with_wrong_bytes_is_read_or_damaged_and_ends_nothing(tmp_path: Path) -> None:
    rows = pl.DataFrame({"text": [TEXT * 10 + str(n) for n in range(300)], "title": ["Ponds"] * 300})
    rows.write_parquet(tmp_path / "made", row_group_size=100)
    raw = (tmp_path / "made").read_bytes()
    rng = random.Random(3)
    places = [rng.sample(range(len(raw) // 2, len(raw)), 3) for _ in range(12)]
    changed = [bytes(byte ^ 0x55 if at in wrong else byte for at, byte in enumerate(raw)) for wrong in places]

    found = [last for each in changed for last in read(tmp_path, "a.parquet", each)[-1:]]

    assert all(each.wrong.startswith("damaged") or each.text.startswith(TEXT) for each in found)
    assert sum(bool(each.wrong) for each in found) > 3


def test_a_parquet_file_that_breaks_polars_down_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process ends, at once or within a batch; or it panics, with an exception that is no `Exception`."""
    (tmp_path / "abort.py").write_text(
        "import os, sys\nsys.stdout.write('r' + 7 * chr(0) + '9A')\nsys.stdout.flush()\nos.abort()"
    )
    command = [sys.executable, str(tmp_path / "abort.py")]
    with monkeypatch.context() as patched:
        patched.setattr("producers.documents.corpus.readers.parquet.python_module", lambda *_: command)
        (found,) = read(tmp_path, "a.parquet", parquet(tmp_path))
    assert (found.text, found.wrong) == ("", "damaged: polars broke down on it")

    killed = "import os, sys\nsys.stderr.write('no memory')\nsys.stderr.flush()\nos.kill(os.getpid(), 9)"
    (tmp_path / "abort.py").write_text(killed)
    with monkeypatch.context() as patched:
        patched.setattr("producers.documents.corpus.readers.parquet.python_module", lambda *_: command)
        with pytest.raises(SediError, match=r"ended with -9\. no memory"):  # not the file's fault
            read(tmp_path, "a.parquet", parquet(tmp_path))

    def broken(error: BaseException) -> list[object]:
        def raising(*_: object, **__: object) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(pl, "scan_parquet", raising)
            return list(decoded(tmp_path / "a.parquet", None))

    assert broken(pl.exceptions.PanicException("index out of bounds\nsecond line")) == ["damaged: index out of bounds"]
    with pytest.raises(KeyboardInterrupt):
        broken(KeyboardInterrupt())


def test_an_encrypted_pdf_says_so(tmp_path: Path) -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret", algorithm="RC4-128")
    with (tmp_path / "a.pdf").open("wb") as file:
        writer.write(file)
    (found,) = read(tmp_path, "a.pdf", (tmp_path / "a.pdf").read_bytes())
    assert "encrypted" in found.wrong


def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt.gz", "c.parquet"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "d.txt").write_text(TEXT)

    found = [each for file in corpus_files([tmp_path]).files for each in read_file(file, ReadOptions())]

    assert [each.wrong for each in found] == ["no regular file"] * 3 + [""]


def test_a_folder_that_cannot_be_listed_is_named_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of a folder without the right to list it; the superuser has that right, so it is taken away here."""
    for name in ("a/1.txt", "b/2.txt", "c/3.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(TEXT)
    listed = os.scandir

    def scandir(folder: str) -> object:
        if Path(folder).name == "b":
            raise PermissionError(13, "Permission denied", folder)
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found = corpus_files([tmp_path])

    assert [file.source for file in found.files] == ["a/1.txt", "c/3.txt"]
    assert found.closed == (f"{tmp_path / 'b'}: Permission denied",)


def test_folders_are_read_in_sorted_order_without_hidden_files_and_unknown_endings(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/1.md", "a.jsonl.gz", ".hidden.txt", "picture.png", ".git/x.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    found = corpus_files([tmp_path, tmp_path / "b" / "1.md"])

    assert [file.source for file in found.files] == ["a.jsonl.gz", "b/1.md", "b/2.txt"]
    assert found.skipped == 2
    with pytest.raises(ConfigurationError, match="is not there"):
        corpus_files([tmp_path / "nowhere"])
    with pytest.raises(ConfigurationError, match="ending that is not known"):
        corpus_files([tmp_path / "picture.png"])
