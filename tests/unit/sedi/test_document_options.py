"""The options of the second producer, and those that belong to the other one."""

from typing import Any

import pytest

from producers.documents.options import DocumentsInUse
from producers.documents.scoring.options import ScorerOptions
from producers.documents.segments import CutOptions
from schemas.errors import ConfigurationError
from sedi.document_options import check_producer, documents_in_use
from sedi.main import main
from sedi.options import ExitCode
from sedi.run_file.values import parsed
from sedi.run_options import RunOptions


def given(*words: str) -> dict[str, Any]:
    return parsed("documents", words)[0]


def test_the_flags_become_the_options_of_a_lane() -> None:
    assert documents_in_use(given()).cut == DocumentsInUse().cut and documents_in_use(given()).candidates == 4
    found = documents_in_use(
        given(
            *("--candidates", "6", "--strategies", "whole,random=2", "--segment-words", "20-80", "--per-document", "5"),
            *("--overlap", "--share", "2/3", "--follow", "--rewrite", "--score-head", "12", "--scorer", "./judge"),
            *("--scorer-threads", "2", "--temperature", "0.7", "--call-max-tokens", "50", "--answer-max-tokens", "300"),
        )
    )
    assert found.cut == CutOptions({"whole": 1.0, "random": 2.0}, 20, 80, 5, overlap=True)
    assert found.scorer == ScorerOptions(model="./judge", head_tokens=12, threads=2)
    assert (found.candidates, found.share, found.follow, found.rewrite, found.recorded_lines) == (
        6,
        (2, 3),
        True,
        True,
        8,
    )
    assert found.sampling is not None and found.sampling.given() == {"temperature": 0.7, "max_tokens": 50}
    assert found.rewrite_sampling is not None and found.rewrite_sampling.given() == {"max_tokens": 300}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--share", "1"), "--share is '1'; write the place"),
        (("--strategies", "best"), "--strategies: there is no strategy 'best'"),
        (("--scorer-backend", "far"), "The scorer: Invalid enum value 'far'"),
        (("--scorer-backend", "endpoint"), "The scorer at an endpoint has no model"),
        (("--candidates", "2000"), "candidates is 2000; ask for 1 to 1000"),
    ],
)
def test_a_wrong_value_is_told(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        documents_in_use(given(*words))


@pytest.mark.parametrize(
    ("producer", "words", "sentence"),
    [
        (
            "goliath",
            ("--style", "alpaca", "--asked", "3"),
            "--style, --asked belong to `sedi`, the producer from seeds",
        ),
        ("sedi", ("--candidates", "3"), "--candidates belongs to `--producer goliath`, the producer from documents"),
        ("sedi", ("--follow",), "--follow belongs to"),
        ("both", (), "--producer is 'both'; choose `sedi` .* or `goliath`"),
    ],
)
def test_options_of_the_other_producer_are_refused(
    producer: str, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        check_producer(producer, given(*words))
    assert main(["generate", "--producer", producer, *words]) == ExitCode.USAGE


def test_a_run_starts_the_generators_of_its_producers() -> None:
    def of(**fields: Any) -> dict[str, list[str]]:
        made = RunOptions(
            max_kept=9, trainer=False, generate=("--style", "alpaca"), documents=("--candidates", "2"), **fields
        )
        return made.generators()

    seeds = ["--max-kept", "9", "--max-ahead", "none", "--style", "alpaca"]
    documents = ["--producer", "goliath", "--max-kept", "9", "--candidates", "2"]
    assert of() == {"generator": seeds}
    assert of(producer="goliath") == {"documents": documents}
    assert of(producer="both") == {"generator": seeds, "documents": documents}
    assert RunOptions(producer="goliath", corpus=("a b",)).corpus_arguments() == ["add", "a b"]
    assert RunOptions(producer="goliath").has_end and not RunOptions(producer="both").has_end
    assert not RunOptions(producer="goliath", documents=("--follow",)).has_end
