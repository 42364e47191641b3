"""Invalid addresses are refused with a sentence, before anything connects."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cluster.addresses import endpoint, servers
from infra.cluster.connection import connection
from infra.settings import load
from schemas.errors import ConfigurationError
from sedi.main import main
from sedi.options import ExitCode


@pytest.mark.parametrize(
    "text", ["127.0.0.1:19092", "localhost:9092", "a-b.example:1,c_d:65535", "[::1]:9092", "[2001:db8::1]:9092,b:9092"]
)
def test_servers_that_can_be_are_taken_as_they_are(text: str) -> None:
    assert servers(text) == text
    assert connection(load(bootstrap_servers=text), "test")["bootstrap_servers"] == text.split(",")


def test_blanks_between_servers_go() -> None:
    assert servers(" a:1 ,\tb:2 ") == "a:1,b:2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("127.0.0.1:abc", "port 'abc' is not a number from 1 to 65535"),
        ("127.0.0.1:99999", "port '99999' is not a number"),
        ("127.0.0.1:0", "port '0' is not a number"),
        ("127.0.0.1:-1", "port '-1' is not a number"),
        ("127.0.0.1:٣", "is not a number"),
        ("127.0.0.1:" + "9" * 5000, "is not a number"),
        ("127.0.0.1:", "port '' is not a number"),
        ("127.0.0.1", "the port is missing"),
        ("[::1]", "the port is missing"),
        (":9092", "the host is missing"),
        ("", "the port is missing"),
        ("a:1,,b:2", "the port is missing"),
        ("::1:9092", "needs brackets"),
        ("[::1:9092", "brackets hold"),
        ("[localhost]:9092", "brackets hold"),
        ("PLAINTEXT://a:9092", "leave out PLAINTEXT://"),
        ("a b:9092", "cannot be a host"),
        ("user@a:9092", "cannot be a host"),
    ],
)
def test_servers_that_cannot_be_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        servers(text)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "https://api.example/v1", "http://[::1]:8000/v1"])
def test_urls_that_can_be_are_taken_as_they_are(url: str) -> None:
    assert endpoint(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000/v1", "does not begin with http"),
        ("localhost/v1", "does not begin with http"),
        ("ftp://a/v1", "does not begin with http"),
        ("http://", "names no host"),
        ("http:///v1", "names no host"),
        ("http://:8000/v1", "names no host"),
        ("http://a:abc/v1", "is not a URL"),
        ("http://a:99999/v1", "is not a URL"),
        ("http://a:0/v1", "is not a number from 1"),
        ("http://[::1/v1", "is not a URL"),
        ("http://a b/v1", "has blanks"),
    ],
)
def test_urls_that_cannot_be_are_refused(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        endpoint(url)


@pytest.mark.parametrize("url", ["http://user:s3cret@a:abc/v1", "ftp://user:s3cret@a", "user:s3cret@a/v1?key=s3cret"])
def test_a_password_in_a_url_is_not_told(url: str) -> None:
    with pytest.raises(ValueError) as error:
        endpoint(url)
    assert "s3cret" not in str(error.value)


@given(st.text(max_size=30) | st.from_regex(r"(https?://)?[a:.\[\]0-9@,/]{0,20}"))
def test_no_text_raises_anything_but_a_value_error(text: str) -> None:
    for check in (servers, endpoint):
        try:
            assert check(text)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SEDI_BOOTSTRAP_SERVERS", "127.0.0.1:abc"),
        ("SEDI_BOOTSTRAP_SERVERS", "127.0.0.1:99999"),
        ("SEDI_BOOTSTRAP_SERVERS", ":9092"),
        ("SEDI_BASE_URL", "127.0.0.1:8000"),
        ("SEDI_BASE_URL", "http://a:abc/v1"),
        ("SEDI_REPLICATION_FACTOR", "three"),
        ("SEDI_REPLICATION_FACTOR", "0"),
        ("SEDI_REQUEST_TIMEOUT_S", "soon"),
        ("SEDI_REQUEST_TIMEOUT_S", "inf"),
        ("SEDI_USD_PER_1M_PROMPT_TOKENS", "nan"),
        ("SEDI_MAX_FILTER_LAG", "1.5"),
        ("SEDI_BACKEND", "oracle"),
    ],
)
def test_a_wrong_setting_ends_a_command_with_a_sentence_and_exit_code_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    for command in ("doctor", "report"):
        assert main([command]) == ExitCode.USAGE
        message = capsys.readouterr().err
        assert message.startswith("sedi: Settings are wrong: ")
        assert name.removeprefix("SEDI_").lower() in message
        assert value in message
        assert message.count("\n") == 1


def test_a_settings_file_that_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sedi.toml"
    file.write_bytes(b"model = '\xff'")
    monkeypatch.setenv("SEDI_CONFIG", str(file))
    with pytest.raises(ConfigurationError, match="cannot be read as TOML"):
        load()


def test_a_secret_is_not_told_when_it_is_wrong() -> None:
    with pytest.raises(ConfigurationError) as error:
        load(api_key=["s3cret"], apikey="s3cret")
    assert "s3cret" not in str(error.value)
