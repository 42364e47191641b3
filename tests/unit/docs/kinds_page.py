"""Writes docs/kinds-tried.md from the tests themselves: `python -m tests.unit.docs.kinds_page`.

A kind is a situation that went wrong once, somewhere. Its number of variants is counted in the parameters of the tests
that try it, or in the table that one test goes through.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.conformance.dialects import FORMS, SERVERS
from tests.conformance.hostile import FRAGMENTS
from tests.conformance.server import DISTURBANCES
from tests.unit.core.answer_forms import forms
from tests.unit.docs.pages import DOCS
from tests.unit.sedi.test_options import COMMANDS

PAGE = DOCS / "kinds-tried.md"

OPENING = """\
# Kinds of trouble that were tried

Models, servers, files and clusters of other people do what nobody expects. Each row is a kind of trouble, with the
number of its variants in the tests and the tests that try them. "And drawn" means that a property test tries drawn
texts too. Longer runs than the tests' own are `make conformance`
([the conformance server](decisions/conformance-server.md)). This page is counted from the tests: `python -m
tests.unit.docs.kinds_page` writes it again.
"""


@dataclass(frozen=True)
class Kind:
    """A kind of trouble.

    tests   `file::test` below `tests/`, with `.py` and the words `test_` left out of the file
    table   the length of the table that a test goes through; its parameters are not counted then
    """

    name: str
    tests: tuple[str, ...]
    table: Callable[[], int] | None = None


def _conformance(*kinds: str) -> Callable[[], int]:
    return lambda: sum(form.kind in kinds for form in FORMS.values())


def _scenes() -> int:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from tests.unit.sedi.hostile import scenes

    with TemporaryDirectory() as folder:
        return sum(1 for _ in scenes(Path(folder), no_files=False))


_READING = "unit/core/answer_reading"
_DIALECTS = "conformance/dialects::the_backend_gives_what_a_form_means"
_OPENAI = "unit/producers/backends_openai"
_CLUSTER = "integration/infra/secured_cluster"
_HOME = "integration/infra/read_only_home"

KINDS: dict[str, tuple[Kind, ...]] = {
    "What a model answers": (
        Kind(
            "labels, separators and frames of a list of tasks",
            (f"{_READING}::every_form_of_a_list_is_read_right_and_the_first_reading_read_a_fraction",),
            lambda: sum(1 for _ in forms()),
        ),
        Kind(
            "reasoning inside the text, end marks, byte-order marks",
            (
                f"{_READING}::reasoning_and_marks_are_cut_off_and_kept_as_such",
                f"{_READING}::every_mark_of_a_thought_that_a_prompt_may_open_is_read_as_one",
            ),
        ),
        Kind(
            "what looks like a frame and belongs to an output",
            (f"{_READING}::what_looks_like_a_frame_inside_of_an_output_stays",),
        ),
        Kind(
            "items and lists of two steps",
            (f"{_READING}::items_are_read_in_every_dress", f"{_READING}::lists_inside_of_items_stay_whole"),
        ),
        Kind(
            "JSON with bad escapes, JSON Lines, numbers, other keys, prose around it, any depth",
            (
                f"{_READING}::json_is_read_object_by_object",
                f"{_READING}::one_bad_escape_costs_nothing",
                f"{_READING}::half_a_surrogate_pair_in_what_is_no_task_can_be_stored",
                f"{_READING}::how_deep_json_is_read_depends_on_nothing_but_the_answer",
                f"{_READING}::json_that_was_cut_leaves_its_last_object",
            ),
        ),
        Kind("reasons why an answer ended", (f"{_READING}::whatever_ended_an_answer_from_outside_cut_it",)),
        Kind(
            "an answer that was cut, by style",
            (
                f"{_READING}::an_output_that_was_cut_is_rejected_for_that",
                "unit/core/answers::a_cut_answer_loses_its_last_task_and_json_is_read_where_it_was_asked_for",
                "unit/producers/self_instruct::a_cut_answer_loses_its_last_instance",
            ),
        ),
        Kind("any text at all", (f"{_READING}::any_text_can_be_read_in_every_way_and_gives_no_task_without_words",)),
        Kind(
            "scores of judges",
            (
                "unit/core/judging::a_score_on_the_first_line_is_read",
                "unit/core/judging::anything_else_is_no_score_and_says_why",
            ),
        ),
        Kind("fragments that broke parsers, in made answers", ("conformance/fuzz",), lambda: len(FRAGMENTS)),
        Kind(
            "texts that cost time by the square of their length",
            ("unit/producers/hostile_text::no_text_takes_time_by_the_square_of_its_length",),
        ),
    ),
    "What a server sends": (
        Kind(f"answers, as {len(SERVERS)} servers and gateways send them", (_DIALECTS,), lambda: _answers(True)),
        Kind("errors, as they send them", (_DIALECTS,), lambda: _answers(False)),
        Kind(
            "errors of other servers, and bare statuses",
            (
                "unit/producers/blame::an_error_is_classified",
                "unit/producers/blame::a_request_that_does_not_fit_is_known_by_the_words_of_other_servers",
            ),
        ),
        Kind(
            "shapes of an error's body",
            (
                "unit/producers/blame::what_an_endpoint_says_is_read_in_every_shape",
                "unit/producers/blame::a_body_that_is_no_json_is_read_as_text",
                f"{_OPENAI}::what_an_endpoint_says_is_in_the_message_whatever_its_shape",
            ),
        ),
        Kind(
            "usage that is absurd, partial or somewhere else",
            (
                f"{_OPENAI}::usage_that_cannot_be_is_unknown",
                "unit/producers/usage::cached_tokens_are_read_wherever_they_are",
            ),
        ),
        Kind("content in parts, in lists, beside reasoning", (_DIALECTS,), _conformance("parts", "reasoning")),
        Kind(
            "waits: seconds, milliseconds, dates, nonsense, infinity",
            (
                "unit/producers/waits::a_wait_is_read_in_every_form",
                "unit/producers/waits::of_several_headers_the_one_that_says_when_to_ask_again_counts",
                "unit/producers/waits::a_wait_that_only_the_message_tells_is_read",
            ),
        ),
        Kind(
            "answers that are too large",
            (
                "unit/producers/caller::an_answer_that_is_too_large_is_refused_with_its_usage_and_never_stored",
                "unit/producers/caller::an_answer_that_the_cluster_does_not_take_is_refused_with_its_usage",
                "unit/producers/lane::an_answer_that_is_too_large_costs_its_generation_and_is_not_asked_for_again",
                "unit/producers/lane::an_answer_on_the_ledger_that_makes_too_large_a_generation_is_no_wall",
                f"{_OPENAI}::a_body_without_end_is_given_up_at_a_limit",
            ),
        ),
        Kind(
            "prompts that are refused",
            (
                "unit/producers/lane::prompts_that_are_flagged_are_written_empty_with_their_reason_and_the_lane_goes_on",
                "unit/producers/lane::requests_that_are_refused_without_a_word_about_the_prompt_end_the_lane_and_a_start"
                "_goes_on",
            ),
        ),
        Kind("faults in one run whose books are compared", ("conformance/faults",), lambda: len(DISTURBANCES)),
        Kind(
            "slots of a server whose pace is found out",
            ("unit/producers/explorer::it_comes_within_a_tenth_of_the_best_number_and_floods_nobody",),
        ),
    ),
    "Where texts are shown": (
        Kind(
            "commands, cards and messages at a pseudo-terminal",
            ("unit/sedi/hostile_texts::no_scene_has_a_raw_control_character",),
            _scenes,
        ),
        Kind(
            "pages in a browser",
            (
                "integration/browser/compare_page::hostile_texts_are_shown_and_do_nothing",
                "integration/browser/evaluation_page::hostile_texts_are_shown_and_do_nothing",
                "integration/browser/web_page::every_page_shows_an_archive_and_fetches_nothing_else",
            ),
        ),
        Kind(
            "names of special tokens in rows, and templates that open a thought",
            (
                "unit/trainer/templates::names_of_special_tokens_in_a_row_are_text",
                "unit/trainer/templates::a_response_is_not_trained_inside_an_open_thought",
            ),
        ),
        Kind(
            "secrets in messages",
            (
                "unit/infra/masking::a_secret_that_is_known_is_blotted_out_in_all_its_forms",
                "unit/infra/masking::what_looks_like_a_secret_is_blotted_out",
            ),
        ),
    ),
    "Files and scripts": (
        Kind("columns of rows", ("unit/infra/columns::every_known_form_gives_the_same_task",)),
        Kind(
            "outputs that are no text, rows that cannot be mapped",
            (
                "unit/infra/columns::an_output_that_is_no_text_is_its_json",
                "unit/infra/columns::what_cannot_be_mapped_is_refused_with_its_place",
                "unit/infra/columns::no_row_raises_anything_but_a_configuration_error",
                "unit/trainer/row_file::a_file_in_which_no_row_has_an_output_is_refused_with_the_fields_that_it_has",
            ),
        ),
        Kind(
            "formats of a file",
            (
                "unit/infra/tables::every_text_format_gives_the_same_rows",
                "unit/infra/tables::what_is_no_file_of_rows_is_refused",
            ),
        ),
        Kind(
            "languages",
            (
                "unit/core/scripts::a_text_is_about_as_long_as_its_translation",
                "unit/core/scripts::a_run_in_another_language_keeps_and_rejects_what_one_in_english_does",
            ),
        ),
        Kind("first characters and lengths", ("unit/core/scripts::rules_count_and_read_what_the_script_has",)),
    ),
    "Where it runs": (
        Kind(
            "ports, addresses and numbers that are none",
            (
                "unit/infra/addresses::servers_that_cannot_be_are_refused",
                "unit/infra/addresses::urls_that_cannot_be_are_refused",
                "unit/infra/addresses::a_wrong_setting_ends_a_command_with_a_sentence_and_exit_code_2",
                "unit/sedi/options::a_wrong_value_is_told_in_one_sentence_and_ends_with_2",
            ),
        ),
        Kind("proxies", (f"{_OPENAI}::a_proxy_that_cannot_be_used_is_told_and_matters_only_to_who_would_use_it",)),
        Kind(
            "a cluster that keeps us out",
            (
                f"{_CLUSTER}::what_keeps_us_out_is_said_at_once",
                f"{_CLUSTER}::a_cluster_that_wants_a_certificate_says_so_at_once",
                f"{_CLUSTER}::a_command_without_a_right_says_which_and_ends_with_4",
                f"{_CLUSTER}::a_worker_without_a_good_certificate_ends_with_4",
            ),
        ),
        Kind("certificates and keys that cannot be used", (f"{_CLUSTER}::tls_files_that_cannot_be_used_are_named",)),
        Kind(
            "no home, no right to write, no root",
            (
                f"{_HOME}::help_the_doctor_and_a_what_if_need_no_home",
                f"{_HOME}::a_model_is_trained_and_talked_to_without_a_home",
                f"{_HOME}::a_run_is_started_seen_and_exported_by_nobody",
            ),
        ),
        Kind(
            "commands whose help, example, exit codes and JSON are checked",
            ("unit/sedi/options::every_command_has_help_with_an_example_its_exit_codes_and_json",),
            lambda: len(COMMANDS),
        ),
    ),
}


def page() -> str:
    """The page: a table of kinds for each heading."""
    return "\n".join((OPENING, *(line for title, kinds in KINDS.items() for line in _section(title, kinds))))


def _section(title: str, kinds: tuple[Kind, ...]) -> Iterator[str]:
    yield f"## {title}\n\n| kind | variants | tests |\n|---|--:|---|"
    for kind in kinds:
        files = dict.fromkeys(_file(test) for test in kind.tests)
        yield f"| {kind.name} | {_variants(kind)} | {', '.join(f'`{file}`' for file in files)} |"
    yield ""


def _file(test: str) -> str:
    folder, _, name = test.partition("::")[0].rpartition("/")
    return f"tests/{folder}/test_{name}.py"


def _variants(kind: Kind) -> str:
    functions = [_function(test) for test in kind.tests if "::" in test]
    number = kind.table() if kind.table else sum(_parameters(function) for function in functions)
    drawn = any(hasattr(function, "hypothesis") for function in functions)
    return f"{number} and drawn" if drawn and number > 1 else "drawn" if drawn else str(number)


def _function(test: str) -> Any:
    file, _, name = test.partition("::")
    module = importlib.import_module(_file(file).removesuffix(".py").replace("/", "."))
    return getattr(module, f"test_{name}")


def _parameters(function: Any) -> int:
    number = 1
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "parametrize":
            number *= len(list(mark.args[1]))
    return number


def _answers(answered: bool) -> int:
    from tests.conformance.forms import Answered

    return sum(isinstance(form.want, Answered) is answered for form in FORMS.values())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
