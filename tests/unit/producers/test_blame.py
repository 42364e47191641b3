"""Errors of real endpoints are classified by what they are about, and their messages are read in any form."""

import json
from typing import Any

import pytest

from producers.backends.blame import Blame, blame
from producers.backends.error_bodies import error_in, read_error


def openai(message: str, type: str | None = "invalid_request_error", code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": None, "code": code, **more}}


def openrouter(code: int, message: str, **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "metadata": metadata}}


def gemini(code: int, message: str, status: str, *details: Any) -> list[dict[str, Any]]:
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


SENT: list[tuple[str, int, Any, Blame]] = [
    # Gemini and OpenRouter; their usual errors, and those of all other servers, are in tests/conformance/dialects
    (
        "gemini old key",
        400,
        gemini(400, "It is over.", "INVALID_ARGUMENT", {"reason": "API_KEY_INVALID"}),
        Blame.ENDPOINT,
    ),
    ("credits that come back", 429, openai("Your credits are exhausted. Please retry in 30m."), Blame.PASSING),
    (
        "openrouter flagged in few words",
        403,
        openrouter(403, "No.", reasons=["violence"], flagged_input="…"),
        Blame.FLAGGED,
    ),
    # Ollama, as it was
    ("ollama model as 400", 400, {"error": 'model "x" not found, try pulling it first'}, Blame.ENDPOINT),
    ("ollama length", 400, {"error": "context length exceeded"}, Blame.TOO_LONG),
    # others
    (
        "fastapi",
        422,
        {"detail": [{"loc": ["body", "frequency_penalty"], "msg": "Extra inputs are not permitted"}]},
        Blame.REQUEST,
    ),
    ("xai flagged", 403, {"code": "no", "error": "Content violates usage guidelines."}, Blame.FLAGGED),
    ("header, as 400", 400, {"message": "Missing Authentication header"}, Blame.ENDPOINT),
    (
        "zhipu flagged",
        400,
        {
            "error": {
                "code": "1301",
                "message": "The system detected unsafe or sensitive content in input or generation",
            }
        },
        Blame.FLAGGED,
    ),
    ("moonshot flagged", 400, openai("The request was rejected because it was considered high risk"), Blame.FLAGGED),
    ("prompt blocked, in a 200", 200, {"error": {"message": "The prompt was blocked: SAFETY"}}, Blame.FLAGGED),
    # statuses alone
    *((f"bare {status}", status, "", Blame.PASSING) for status in (408, 409, 429, 500, 502, 503, 504, 524, 529)),
    *((f"bare {status}", status, "", Blame.ENDPOINT) for status in (301, 401, 403, 404, 405)),
    *((f"bare {status}", status, "", Blame.REQUEST) for status in (400, 422, 451)),
    ("bare 402", 402, "", Blame.CREDIT),
    ("bare 413", 413, "", Blame.TOO_LONG),
    ("page about a key, of a busy endpoint", 503, "<p>Overloaded. Is your API key invalid?</p>", Blame.PASSING),
    ("busy, as 400", 400, "upstream timed out", Blame.PASSING),
    ("key, in a 200", 200, {"error": {"message": "Incorrect API key provided"}}, Blame.ENDPOINT),
    ("nothing, in a 200", 200, {"error": {"message": "something"}}, Blame.UNKNOWN),
]


@pytest.mark.parametrize(("status", "body", "wanted"), [one[1:] for one in SENT], ids=[one[0] for one in SENT])
def test_an_error_is_classified(status: int, body: Any, wanted: Blame) -> None:
    error = read_error(body if isinstance(body, str) else json.dumps(body))
    inner = error.status if status == 200 else status
    assert blame(inner or status, error.codes, error.text) is wanted


@pytest.mark.parametrize(
    "message",
    [
        "The number of tokens to keep from the initial prompt is greater than the context length",  # LM Studio
        "The input (9000 tokens) is longer than the model's context length (8192 tokens).",  # SGLang
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 and 200",  # TGI
        "This model's maximum prompt length is 131072 but the request contains 200000 tokens.",  # xAI
        "Your request exceeded model token limit: 262144 (requested: 300000)",  # Moonshot
        "Range of input length should be [1, 98304]",  # DashScope
        "invalid params, context window exceeds limit",  # MiniMax
        "Input tokens exceed the configured limit of 272000 tokens.",  # OpenAI
        "prompt too long; exceeded max context length by 4096 tokens",  # Ollama's cloud
    ],
)
def test_a_request_that_does_not_fit_is_known_by_the_words_of_other_servers(message: str) -> None:
    assert blame(400, (), message) is Blame.TOO_LONG


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"error": {"message": "No."}}, "No."),
        ({"error": "No."}, "No."),
        ({"message": "No."}, "No."),
        ({"detail": "No."}, "No."),
        ({"detail": [{"loc": ["body", "n"], "msg": "Too many"}, {"msg": "Too few"}]}, "body.n: Too many; Too few"),
        ([{"error": {"code": 400, "message": "No."}}], "No."),
        ({"error": {"message": '{"error": {"message": "Within."}}'}}, "Within."),
        (openrouter(502, "Provider returned error", raw='{"error": "Full."}'), "Provider returned error; Full."),
        ({"errors": [{"message": "One"}, "Two"]}, "One; Two"),
        ({"error": {"message": None, "code": 7}}, ""),
        ({"error": {}}, ""),
        ({"error": True}, ""),
        ([], ""),
        (7, "7"),
        (None, ""),
    ],
)
def test_what_an_endpoint_says_is_read_in_every_shape(body: Any, text: str) -> None:
    assert read_error(json.dumps(body)).text == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("upstream timed out", "upstream timed out"),
        ("", ""),
        ("  \n", ""),
        ("two\nlines\x1b[31m", "two lines [31m"),
        ('{"error": ', '{"error":'),
        ("<html><head><title>502 Bad</title></head><body><h1>Busy</h1><script>x()</script></body>", "502 Bad: Busy"),
        ("<html><head><title>Denied &amp; out</title></head></html>", "Denied & out: "),
        ("[" * 50_000, "[" * 10_000),
    ],
)
def test_a_body_that_is_no_json_is_read_as_text(raw: str, text: str) -> None:
    assert read_error(raw).text.strip() == text.strip()


def test_an_answer_tells_of_an_error_only_where_it_holds_one() -> None:
    answer = {"choices": [{"message": {"content": "Hi."}}], "error": None}
    assert error_in(answer) is None
    assert error_in(answer | {"message": "fine"}) is None
    assert error_in([]) is None and error_in("text") is None and error_in({}) is None
    found = error_in(answer | {"choices": [{"error": {"code": 502, "message": "Cut."}, "message": {"content": ""}}]})
    assert found is not None and (found.text, found.status) == ("Cut.", 502)
    assert error_in([{"error": {"message": "No."}}]) == read_error('{"error": {"message": "No."}}')


def test_a_wait_that_a_body_tells_of_is_read_as_a_header() -> None:
    delayed = read_error(json.dumps(gemini(429, "Slow.", "RESOURCE_EXHAUSTED", {"retryDelay": "12s"})))
    assert delayed.headers == {"retry-after": "12s"}
    passed_on = read_error(json.dumps(openrouter(429, "Slow.", headers={"X-RateLimit-Reset": "1790000040000"})))
    assert passed_on.headers == {"X-RateLimit-Reset": "1790000040000"}
