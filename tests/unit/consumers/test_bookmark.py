"""A named reader goes on where it was, or says why it cannot."""

from pathlib import Path

import pytest

from consumers.bookmark import Bookmark
from infra.settings import Settings
from schemas.errors import ConfigurationError, RunError

HELD = {("kept", 0): 2, ("kept", 1): 0}
ENDS = {("kept", 0): 9, ("kept", 1): 4}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path)


def test_a_reader_finds_what_it_saved_and_keeps_topics_that_it_does_not_read_now(settings: Settings) -> None:
    with Bookmark(settings, "demo", "x") as first:
        assert first.load(HELD, ENDS) == {}
        first.save({("kept", 0): 7, ("kept", 1): 0, ("run", 0): 3})
    with Bookmark(settings, "demo", "x") as second:
        assert second.load(HELD, ENDS) == {("kept", 0): 7, ("kept", 1): 0}
        second.save({("kept", 0): 9, ("kept", 1): 4})
    with Bookmark(settings, "demo", "x") as third:
        assert third.load(HELD | {("run", 0): 0}, ENDS | {("run", 0): 3})["run", 0] == 3
    assert [file.name for file in (settings.state_dir / "demo" / "tail").glob("*.json*")] == ["x.json"]


@pytest.mark.parametrize("offset", [1, 10])
def test_a_place_that_the_log_does_not_hold_is_told(settings: Settings, offset: int) -> None:
    with Bookmark(settings, "demo", "x") as bookmark:
        bookmark.save({("kept", 0): offset})
        with pytest.raises(RunError, match=rf"kept/0 up to {offset}, but the log holds 2 to 9 .* Delete .*x.json"):
            bookmark.load(HELD, ENDS)


def test_a_damaged_file_is_told(settings: Settings) -> None:
    with Bookmark(settings, "demo", "x") as bookmark:
        bookmark.file.write_text('{"run": "demo"', encoding="utf-8")
        with pytest.raises(RunError, match=r"is damaged .* Delete"):
            bookmark.load(HELD, ENDS)


def test_a_name_has_one_process_at_a_time(settings: Settings) -> None:
    taken = pytest.raises(ConfigurationError, match="Another process is reading run 'demo' as 'x'")
    with Bookmark(settings, "demo", "x"), Bookmark(settings, "demo", "y"), taken:
        Bookmark(settings, "demo", "x")
    Bookmark(settings, "demo", "x").close()


@pytest.mark.parametrize("name", ["", "../x", ".x", "a/b"])
def test_a_name_that_is_no_file_name_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(ConfigurationError, match="A reader cannot be named"):
        Bookmark(settings, "demo", name)
