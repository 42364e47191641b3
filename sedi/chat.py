"""`sedi chat`: a conversation with a trained model."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from infra.distribution import require
from sedi.commands import command
from sedi.options import DEFAULT_RUN, AsJson, Run, StateDir, settings_of

if TYPE_CHECKING:
    from consumers.trainer.result.chat import Conversation

_NEW, _QUIT = "/new", "/quit"


@command("chat", "sedi chat --run demo", "sedi chat ./model --message 'Name three rivers.' --json")
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
    """Chat with a trained model, in the template it was trained with.

    Answers are streamed. With --message, or from a pipe, one question is answered. In a terminal Ctrl-C stops an
    answer, `/new` begins a new conversation, and `/quit` or Ctrl-D ends.
    """
    require("train", "sedi chat")
    from consumers.trainer.options import PrecisionChoice
    from consumers.trainer.result.chat import load, model_of_run
    from infra.models.device import Device
    from infra.models.model_info import warning_of_task
    from infra.models.templates import Template
    from schemas.errors import ConfigurationError
    from sedi.output import notify

    model = folder if folder is not None else str(model_of_run(settings_of(None, state_dir).state_dir, run))
    if message is None and not sys.stdin.isatty():
        message = _read_stdin()
    if message is not None and not message.strip():
        raise ConfigurationError("There is nothing to answer. Give --message TEXT, or write to standard input.")
    if (warning := warning_of_task(Path(model))) is not None:
        notify(warning)
    conversation = load(
        model,
        device=one_of("device", device, Device),
        precision=one_of("precision", precision, PrecisionChoice),
        template=None if template is None else one_of("template", template, Template),
        threads=threads,
        temperature=temperature,
        max_tokens=max_tokens,
        say=notify if message is None else lambda line: None,
    )
    if message is not None:
        _once(conversation, message.strip(), as_json)
        return
    notify(f"{model}, template {conversation.template}. Ctrl-C stops an answer, {_NEW} begins again, {_QUIT} ends.")
    while (question := _next_question()) is not None:
        if question == _NEW:
            conversation.turns.clear()
        elif question:
            _answer(conversation, question, as_json)


def one_of(name: str, value: str, choices: Any) -> Any:
    """The value, which must be one of a Literal's. Raises ConfigurationError."""
    from schemas.errors import ConfigurationError

    if value not in get_args(choices):
        raise ConfigurationError(f"{name} is {value!r}. Choose one of {', '.join(get_args(choices))}.")
    return value


def _read_stdin() -> str:
    """All of standard input. Raises ConfigurationError when it is not text."""
    from schemas.errors import ConfigurationError

    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"Standard input is not text in {sys.stdin.encoding}: {error.reason}.") from error


def _next_question() -> str | None:
    """The next question from the terminal; None at the end."""
    import readline  # noqa: F401 - lets a line be edited

    while True:
        try:
            question = input("> ").strip()
        except EOFError:
            sys.stdout.write("\n")
            return None
        except KeyboardInterrupt:
            sys.stdout.write(f"\n{_QUIT} or Ctrl-D ends.\n")
            continue
        return None if question == _QUIT else question


def _answer(conversation: Conversation, question: str, as_json: bool) -> None:
    """Answer; report an answer that is stopped or fails."""
    from schemas.errors import TrainerError
    from sedi.output import print_error

    try:
        _once(conversation, question, as_json)
    except KeyboardInterrupt:
        sys.stdout.write(" [stopped]\n")
    except TrainerError as error:
        print_error(str(error))


def _once(conversation: Conversation, question: str, as_json: bool) -> None:
    """Print the answer as it is generated, or as JSON when it is complete."""
    from infra.visible import visible
    from sedi.output import print_json

    with closing(conversation.answer(question)) as pieces:
        if as_json:
            print_json({"asked": question, "answer": "".join(pieces), "template": conversation.template})
            return
        for piece in pieces:
            sys.stdout.write(visible(piece))
            sys.stdout.flush()
    sys.stdout.write("\n")
