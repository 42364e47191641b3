"""`sedi chat`: talk to a trained model."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from sedi.options import DEFAULT_RUN, AsJson, Run, StateDir, epilog, settings_of

if TYPE_CHECKING:
    from consumers.trainer.result.chat import Conversation

_NEW, _QUIT = "/new", "/quit"


def register(app: typer.Typer) -> None:
    examples = epilog("sedi chat --run demo", "sedi chat ./model --message 'Name three rivers.' --json")
    app.command("chat", epilog=examples)(chat)


def chat(
    *,
    folder: Annotated[str | None, typer.Argument(metavar="FOLDER", help="A model; default: that of the run.")] = None,
    run: Run = DEFAULT_RUN,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Answer this, and end.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0: the likeliest word.")] = 0.0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest answer.")] = 256,
    template: Annotated[str | None, typer.Option("--template", help="`chat` or `alpaca`; default: as trained.")] = None,
    precision: Annotated[str, typer.Option("--precision", help="`auto`, `bf16` or `fp32`.")] = "auto",
    device: Annotated[str, typer.Option("--device", help="`auto`, `cpu` or `cuda`.")] = "auto",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Of torch on the CPU.")] = None,
    as_json: AsJson = False,
    state_dir: StateDir = None,
) -> None:
    """Talk to the model that a training left, in the template it was trained with.

    Answers come word by word. With --message, or from a pipe, one question is answered; in a terminal it goes on:
    Ctrl-C stops an answer, `/new` forgets what was said, `/quit` or Ctrl-D ends.
    """
    from consumers.trainer.options import Device, PrecisionChoice, Template
    from consumers.trainer.result.chat import load, model_of_run
    from schemas.errors import ConfigurationError
    from sedi.output import notify

    place = folder if folder is not None else str(model_of_run(settings_of(None, state_dir).state_dir, run))
    if message is None and not sys.stdin.isatty():
        message = _piped()
    if message is not None and not message.strip():
        raise ConfigurationError("There is nothing to answer. Give --message TEXT, or write to standard input.")
    talk = load(
        place,
        device=one_of("device", device, Device),
        precision=one_of("precision", precision, PrecisionChoice),
        template=None if template is None else one_of("template", template, Template),
        threads=threads,
        temperature=temperature,
        max_tokens=max_tokens,
        say=notify if message is None else lambda line: None,
    )
    if message is not None:
        _once(talk, message.strip(), as_json)
        return
    notify(f"{place}, template {talk.template}. Ctrl-C stops an answer, {_NEW} begins again, {_QUIT} ends.")
    while (asked := _asked()) is not None:
        if asked == _NEW:
            talk.said.clear()
        elif asked:
            _answer(talk, asked, as_json)


def one_of(name: str, given: str, choices: Any) -> Any:
    """`given`, which must be one of a Literal's values. Raises ConfigurationError."""
    from schemas.errors import ConfigurationError

    if given not in get_args(choices):
        raise ConfigurationError(f"{name} is {given!r}. Choose one of {', '.join(get_args(choices))}.")
    return given


def _piped() -> str:
    """All of standard input. Raises ConfigurationError when it is not text."""
    from schemas.errors import ConfigurationError

    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"Standard input is no text in {sys.stdin.encoding}: {error.reason}.") from error


def _asked() -> str | None:
    """The next question from the terminal; None at the end."""
    import readline  # noqa: F401 - lets a line be edited

    while True:
        try:
            asked = input("> ").strip()
        except EOFError:
            sys.stdout.write("\n")
            return None
        except KeyboardInterrupt:
            sys.stdout.write(f"\n{_QUIT} or Ctrl-D ends.\n")
            continue
        return None if asked == _QUIT else asked


def _answer(talk: Conversation, asked: str, as_json: bool) -> None:
    """Answer, and go on whatever happens to the answer."""
    from schemas.errors import TrainerError
    from sedi.output import print_error

    try:
        _once(talk, asked, as_json)
    except KeyboardInterrupt:
        sys.stdout.write(" [stopped]\n")
    except TrainerError as error:
        print_error(str(error))


def _once(talk: Conversation, asked: str, as_json: bool) -> None:
    """Write the answer as it comes, or in JSON when it is whole."""
    from infra.visible import visible
    from sedi.output import print_json

    with closing(talk.answer(asked)) as pieces:
        if as_json:
            print_json({"asked": asked, "answer": "".join(pieces), "template": talk.template})
            return
        for piece in pieces:
            sys.stdout.write(visible(piece))
            sys.stdout.flush()
    sys.stdout.write("\n")
