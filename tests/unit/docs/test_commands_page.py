"""docs/commands.md is what the command line says of itself."""

from tests.unit.docs.commands_page import PAGE, page


def test_the_page_of_commands_is_what_the_help_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.unit.docs.commands_page"


def test_every_command_has_an_example() -> None:
    sections = page().split("\n## ")[1:]
    assert len(sections) > 20
    assert [section.splitlines()[0] for section in sections if "```\nsedi " not in section] == []
