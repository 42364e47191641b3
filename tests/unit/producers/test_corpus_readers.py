"""Every form of file becomes texts; what cannot be read is said with its place, and the rest goes on."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from pypdf import PdfWriter

from producers.documents.corpus.files import corpus_files
from producers.documents.corpus.readers import FoundText, ReadOptions, read_file
from schemas.errors import ConfigurationError

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


def test_an_encrypted_pdf_says_so(tmp_path: Path) -> None:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret", algorithm="RC4-128")
    with (tmp_path / "a.pdf").open("wb") as file:
        writer.write(file)
    (found,) = read(tmp_path, "a.pdf", (tmp_path / "a.pdf").read_bytes())
    assert "encrypted" in found.wrong


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
