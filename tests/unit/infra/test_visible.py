"""Control characters are escaped; everything else, and the value of JSON, stays."""

import json
import logging
import sys
import unicodedata
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.visible import visible, visible_json, visible_logs

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def test_every_control_and_bidirectional_character_is_shown_and_newline_and_tab_stay() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        steers = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t"
        assert (visible(character) != character) == (steers or character in BIDI), hex(ord(character))


def test_an_escape_names_the_character() -> None:
    assert visible("a\x1b[2J\x9b\u202eb\nc\td\r") == "a\\x1b[2J\\x9b\\u202eb\nc\td\\x0d"
    assert visible("naïve 日本 👩\u200d💻") == "naïve 日本 👩\u200d💻"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_means_the_same(text: str) -> None:
    shown = visible_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(shown) == {"a": text}
    assert visible(shown) == shown


def test_records_tracebacks_and_warnings_of_any_library_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    factory, format_warning = logging.getLogRecordFactory(), warnings.formatwarning
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.Logger("library")
    logger.addHandler(handler)
    try:
        visible_logs()
        logger.error("refused: %s", "\x1b]0;x\x07")
        try:
            raise ValueError("\x9b2J")
        except ValueError:
            logger.exception("failed")
        assert warnings.formatwarning("\u202e", UserWarning, "f.py", 1, "").count("\\u202e") == 1
    finally:
        logging.setLogRecordFactory(factory)
        warnings.formatwarning = format_warning
    written = capsys.readouterr().err
    assert "ERROR refused: \\x1b]0;x\\x07\n" in written
    assert "ValueError: \\x9b2J\n" in written
    assert visible(written) == written
