"""Options of `sedi generate` for the second producer, which makes instructions from documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from producers.documents.options import DocumentsInUse

T = TypeVar("T")

Producer = Annotated[
    str, typer.Option("--producer", help="`sedi`: from seeds. `goliath`: from the run's documents (`sedi corpus add`).")
]


@dataclass(frozen=True, kw_only=True)
class DocumentFlags:
    """Options that only the second producer has: a group (`sedi.commands`)."""

    candidates: Annotated[
        int | None, typer.Option("--candidates", min=1, help="Instructions asked for, for each segment. Default: 4.")
    ] = None
    strategies: Annotated[
        str | None,
        typer.Option(
            "--strategies",
            metavar="NAME=SHARE,...",
            help="How segments are cut, and their shares: random, salient, structural, whole. "
            "Default: the first three.",
        ),
    ] = None
    segment_words: Annotated[
        str | None,
        typer.Option("--segment-words", metavar="FROM-TO", help="The length of a segment, in words. Default: 15-120."),
    ] = None
    per_document: Annotated[
        int | None,
        typer.Option("--per-document", min=1, help="Segments of a document, at most. Default: all there are."),
    ] = None
    overlap: Annotated[bool, typer.Option("--overlap", help="Segments of different strategies may share text.")] = False
    share: Annotated[
        str | None,
        typer.Option("--share", metavar="N/M", help="Take the N-th of each M documents: for M lanes, or M machines."),
    ] = None
    follow: Annotated[bool, typer.Option("--follow", help="Wait for further documents when all are used.")] = False
    rewrite: Annotated[bool, typer.Option("--rewrite", help="Let the model rewrite the segment into an answer.")] = (
        False
    )
    scorer: Annotated[
        str | None,
        typer.Option("--scorer", help="Model that scores: a folder, hub name, `builtin` (default), or at it."),
    ] = None
    scorer_backend: Annotated[
        str | None, typer.Option("--scorer-backend", help="`local` (default), or an `endpoint` with prompt log-probs.")
    ] = None
    scorer_url: Annotated[
        str | None, typer.Option("--scorer-url", help="Base URL of that endpoint. Default: setting base_url.")
    ] = None
    scorer_form: Annotated[
        str | None, typer.Option("--scorer-form", help="Of that endpoint: `prompt_logprobs` (default), or `echo`.")
    ] = None
    scorer_template: Annotated[
        str | None,
        typer.Option(
            "--scorer-template", help="`chat` or `alpaca`. Default: as the model was trained, `alpaca` at it."
        ),
    ] = None
    scorer_tokenizer: Annotated[
        str | None,
        typer.Option("--scorer-tokenizer", help="Folder or hub name whose chat template that endpoint's has."),
    ] = None
    score_head: Annotated[
        int | None,
        typer.Option("--score-head", min=0, help="Score on so many tokens first. Default: 0, no such stage."),
    ] = None
    scorer_threads: Annotated[int | None, typer.Option("--scorer-threads", min=1, help="Of a local scorer.")] = None


OF_DOCUMENTS = tuple(each.name for each in fields(DocumentFlags))
"""Parameters of `sedi generate` that only the second producer has; `OF_SEEDS`: that only the first has."""

LANES = {"sedi": "main", "goliath": "documents"}
"""The lane of a producer that is given none."""

OF_SEEDS = ("style", "parser", "total", "asked")

_ELSEWHERE = {
    "goliath": (OF_SEEDS, "makes instructions from documents", "`sedi`, the producer from seeds"),
    "sedi": (OF_DOCUMENTS, "makes instructions from seeds", "`--producer goliath`, the producer from documents"),
}


def check_producer(producer: str, given: Mapping[str, Any]) -> None:
    """Raises ConfigurationError for an unknown producer, and for options of the other one.

    given   the values of the options, by parameter; None, False: not given
    """
    if producer not in _ELSEWHERE:
        raise ConfigurationError(f"--producer is {producer!r}; choose `sedi` (from seeds) or `goliath` (documents).")
    names, makes, other = _ELSEWHERE[producer]
    wrong = [f"--{name.replace('_', '-')}" for name in names if given[name] not in (None, False)]
    if wrong:
        raise ConfigurationError(
            f"{', '.join(wrong)} {'belongs' if len(wrong) == 1 else 'belong'} to {other}, and `--producer {producer}` "
            f"{makes}. Leave it out, or choose the other producer."
        )


def documents_in_use(given: Mapping[str, Any]) -> DocumentsInUse:
    """How documents become instructions, by the options. Raises ConfigurationError.

    given   the values of the options, by parameter; None: not given
    """
    from producers.backends.base import Sampling
    from producers.documents.options import CANDIDATES, DocumentsInUse, default_cut
    from producers.documents.segments.options import CutOptions, read_shares, read_words

    default = default_cut()
    words, strategies = given["segment_words"], given["strategies"]
    shares = default.shares if strategies is None else _read("--strategies", read_shares, strategies)
    fewest, most = (
        (default.min_words, default.max_words) if words is None else _read("--segment-words", read_words, words)
    )
    cut = CutOptions(shares, fewest, most, given["per_document"], given["overlap"])
    sampling = Sampling(temperature=given["temperature"], top_p=given["top_p"], max_tokens=given["call_max_tokens"])
    return DocumentsInUse(
        cut=cut,
        candidates=given["candidates"] or CANDIDATES,
        scorer=_scorer(given),
        share=(1, 1) if given["share"] is None else _share(given["share"]),
        follow=given["follow"],
        rewrite=given["rewrite"],
        safety=given["safety"],
        sampling=sampling,
        rewrite_sampling=Sampling(max_tokens=given["answer_max_tokens"]),
    )


def _scorer(given: Mapping[str, Any]) -> Any:
    import msgspec

    from producers.documents.scoring.options import ScorerOptions

    named = {
        "model": given["scorer"],
        "backend": given["scorer_backend"],
        "base_url": given["scorer_url"],
        "form": given["scorer_form"],
        "template": given["scorer_template"],
        "tokenizer": given["scorer_tokenizer"],
        "head_tokens": given["score_head"],
        "threads": given["scorer_threads"],
    }
    try:
        return msgspec.convert({name: value for name, value in named.items() if value is not None}, ScorerOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"The scorer: {error}. `sedi generate --help` lists its options.") from error


def _read(flag: str, read: Callable[[str], T], text: str) -> T:
    """What a flag's text names. Raises ConfigurationError with the flag."""
    try:
        return read(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"{flag}: {str(error).removesuffix('.')}.") from error


def _share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
    if found is None:
        raise ConfigurationError(f"--share is {text!r}; write the place and the number of lanes, as in 1/2 and 2/2.")
    return int(found[1]), int(found[2])
