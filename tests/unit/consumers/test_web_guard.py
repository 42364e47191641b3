"""Who gets an answer from the page's server, and what each answer lets a browser do."""

import asyncio
import hashlib
import re
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from consumers.web.files import PAGES, PageFiles
from consumers.web.guard import Guard, PageAccess
from consumers.web.story import pieces
from schemas.errors import ConfigurationError

TOKEN = "0123456789abcdef"
LOCAL = PageAccess("127.0.0.1", 8765)
OPEN = PageAccess("0.0.0.0", 8765, TOKEN)
FOLLOWED = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
SIGNS = PageAccess("0.0.0.0", 8765, "aGVsbG8+d29ybGQ/IQ==")


def asked(
    access: PageAccess, path: str = "/api/runs", *, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str]]:
    """The status and headers of an answer; names of headers with _ for -."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    given = {"host": "localhost:8765", **{name.replace("_", "-"): value for name, value in headers.items()}}
    way, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": way,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items() if value],
    }
    asyncio.run(Guard(PlainTextResponse("in"), access)(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize(
    ("status", "access", "headers"),
    [
        (200, LOCAL, {}),
        (200, LOCAL, {"host": "[::1]:9"}),
        (200, LOCAL, {"origin": "http://localhost:8765", "sec_fetch_site": "same-origin"}),
        (200, LOCAL, {**FOLLOWED, "path": "/"}),
        (403, LOCAL, {**FOLLOWED, "path": "/api/runs/a/what-if?again=1"}),
        (421, LOCAL, {"host": "rebound.example:8765"}),
        (421, LOCAL, {"host": "192.0.2.7:8765"}),
        (421, LOCAL, {"host": ""}),
        (421, LOCAL, {"host": "[bad"}),
        (403, LOCAL, {"origin": "http://localhost:9999"}),
        (403, LOCAL, {"origin": "null"}),
        (403, LOCAL, {"sec_fetch_site": "same-site"}),
        (403, LOCAL, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}),
        (405, LOCAL, {"method": "POST"}),
        (401, OPEN, {}),
        (401, OPEN, {"authorization": f"Bearer {TOKEN[:-1]}"}),
        (401, OPEN, {"cookie": f"sedi_web_9={TOKEN}"}),
        (401, OPEN, {"path": "/?token=wrong"}),
        (401, OPEN, {"path": f"/api/runs?token={TOKEN}"}),
        (200, OPEN, {"authorization": f"Bearer {TOKEN}", "host": "192.0.2.7:8765"}),
        (200, OPEN, {"cookie": f"a=b; sedi_web_8765={TOKEN}"}),
        (421, OPEN, {"authorization": f"Bearer {TOKEN}", "host": "rebound.example:8765"}),
        (303, OPEN, {"path": f"/?token={TOKEN}"}),
        (303, SIGNS, {"path": f"/?token={SIGNS.token}"}),
        (200, SIGNS, {"cookie": f"sedi_web_8765={SIGNS.token}"}),
    ],
)
def test_who_is_answered(status: int, access: PageAccess, headers: dict[str, str]) -> None:
    found, answered = asked(access, **headers)
    assert found == status
    assert "default-src 'none'" in answered["content-security-policy"]
    assert "unsafe" not in answered["content-security-policy"]
    assert answered["x-content-type-options"] == "nosniff"


ACT = {
    "path": "/api/runs/a/acts/b",
    "method": "POST",
    "origin": "http://localhost:8765",
    "content_type": "application/json; charset=utf-8",
    "authorization": f"Bearer {TOKEN}",
}


@pytest.mark.parametrize(
    ("status", "access", "other"),
    [
        (200, OPEN, {}),
        (403, LOCAL, {}),
        (401, OPEN, {"authorization": ""}),
        (403, OPEN, {"origin": ""}),
        (403, OPEN, {"origin": "http://elsewhere.example"}),
        (403, OPEN, {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}),
        (415, OPEN, {"content_type": "text/plain"}),
        (415, OPEN, {"content_type": ""}),
        (405, OPEN, {"path": "/api/runs/a/rows"}),
        (405, OPEN, {"path": "/api/runs/a/acts/b/c"}),
        (405, OPEN, {"method": "DELETE"}),
        (421, OPEN, {"host": "rebound.example:8765"}),
    ],
)
def test_only_the_page_itself_acts_and_with_the_token(status: int, access: PageAccess, other: dict[str, str]) -> None:
    assert asked(access, **{**ACT, **other})[0] == status


def test_the_token_is_put_into_a_cookie_that_scripts_and_other_sites_do_not_get() -> None:
    _, answered = asked(OPEN, f"/?token={TOKEN}")
    assert answered["location"] == "/"
    assert answered["set-cookie"] == f"sedi_web_8765={TOKEN}; Path=/; HttpOnly; SameSite=Strict"


@pytest.mark.parametrize(
    ("host", "token"),
    [("0.0.0.0", None), ("192.0.2.7", None), ("127.0.0.1", "short"), ("::", "ä" * 20), ("::", "no; cookie " * 3)],
)
def test_a_page_for_other_machines_needs_a_long_token(host: str, token: str | None) -> None:
    with pytest.raises(ConfigurationError, match="token"):
        PageAccess(host, 8765, token)


def test_others_work_is_as_it_was_fetched_and_its_licences_lie_beside_it() -> None:
    vendor = PAGES / "vendor"
    noted = dict(re.findall(r"^\| `([\w.-]+)` \|.*\| ([0-9a-f]{64}) \|$", (vendor / "README.md").read_text(), re.M))
    found = {path.name: path for path in vendor.iterdir() if path.suffix in (".mjs", ".js", ".css")}
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in found.items()} == noted
    assert all((vendor / f"{name}-LICENSE.txt").is_file() for name in ("preact", "htm", "uplot"))


def test_the_pages_own_script_is_named_by_its_digest() -> None:
    (digest,) = PageFiles().scripts
    assert digest.startswith("'sha256-")
    assert digest in PageAccess("localhost", 1, scripts=(digest,)).headers["content-security-policy"]


def test_a_text_is_cut_into_pieces_at_its_marks() -> None:
    assert pieces("abcdef", [(1, 2), (2, 4)]) == [("a", False), ("b", True), ("cd", True), ("ef", False)]
    assert pieces("ab", None) == [("ab", False)]
    assert pieces("", ()) == []
