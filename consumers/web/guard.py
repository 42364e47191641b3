"""Who may ask the page's server, checked before anything else.

Host      on this machine only names of this machine are taken, elsewhere addresses and its own names: a page of another
          host that is made to resolve here (DNS rebinding) gets nothing
Origin    a request that a page of another origin makes is refused, whatever it asks for
Method    only GET and HEAD, and POST for an act (`consumers.web.acts`): where there is a token, as JSON, and from the
          page itself, whose Origin a browser then sends
token     if there is one, it comes as a cookie that is set once by `/?token=...`, or as `Authorization: Bearer`

Every answer has a Content-Security-Policy that lets the page run and fetch only what comes from here.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas.errors import ConfigurationError

SHORTEST_TOKEN = 16
_IN_COOKIES = re.compile(r"[!#-+\--:<-\[\]-~]*")
_ACT = re.compile(r"/api/runs/[^/]+/acts/[^/]+")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class PageAccess:
    """Where the page is served, and to whom. Raises ConfigurationError for another host than this machine without a
    token, and for a token that is too short.

    scripts   of the page that are in its HTML, as sources of a Content-Security-Policy
    """

    host: str
    port: int
    token: str | None = None
    scripts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is None and not self.local:
            raise ConfigurationError(
                f"{self.host} can be reached from other machines, and the page shows all of a run. Give it a token of "
                f"{SHORTEST_TOKEN} characters or more with --token or SEDI_WEB_TOKEN, or leave out --host."
            )
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or _IN_COOKIES.fullmatch(self.token) is None):
            raise ConfigurationError(
                f"The token has {len(self.token)} characters. Give {SHORTEST_TOKEN} or more, in ASCII, that "
                "a cookie can have: no spaces, quotes, commas, semicolons and backslashes: openssl rand -hex 16"
            )

    @property
    def local(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def address(self) -> str:
        """Without the token."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    @property
    def cookie(self) -> str:
        """The name of the cookie; ports of one host share their cookies."""
        return f"sedi_web_{self.port}"

    def knows(self, host: str) -> bool:
        """Whether a name in a Host header means this server."""
        if host in _LOCAL_NAMES or host == self.host:
            return True
        if self.local:
            return False
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host in {socket.gethostname().lower(), socket.getfqdn().lower()}
        return True

    @property
    def headers(self) -> dict[str, str]:
        """Of every answer."""
        policy = {
            "default-src": "'none'",
            "script-src": " ".join(("'self'", *self.scripts)),
            "style-src": "'self'",
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        return {
            "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
        }


class Guard:
    """Lets through to an application what may ask."""

    def __init__(self, app: ASGIApp, access: PageAccess) -> None:
        self._app = app
        self._access = access
        self._headers = [(name.encode(), value.encode()) for name, value in access.headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        given = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, given)
        token = _asked_token(scope)
        if refusal is None and self._access.token is not None and token is not None and self._is_token(token):
            cookie = f"{self._access.cookie}={self._access.token}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(guarded, 303, "", [("location", "/"), ("set-cookie", cookie)])
        elif refusal is not None:
            await _answer(guarded, *refusal)
        elif not self._known(given):
            text = "This page needs its token. Open the address with ?token=... that `sedi web` was started with."
            await _answer(guarded, 401, text)
        else:
            await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope, given: Mapping[str, str]) -> tuple[int, str] | None:
        try:
            host = urlsplit(f"//{given.get('host', '')}")
            known = self._access.knows((host.hostname or "").lower())
        except ValueError:
            known = False
        if not known:
            return 421, f"This is {self._access.address}, and the request is for another host."
        origin = given.get("origin")
        # A link elsewhere may open the page, but not ask for what it asks for: that can begin long work.
        document = given.get("sec-fetch-mode") == "navigate" and given.get("sec-fetch-dest") == "document"
        navigates = document and not scope["path"].startswith("/api/")
        elsewhere = given.get("sec-fetch-site", "none") not in ("none", "same-origin") and not navigates
        if elsewhere or (origin is not None and origin.partition("://")[2] != given["host"]):
            return 403, "Pages of another origin get nothing here."
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST" or _ACT.fullmatch(scope["path"]) is None:
            return 405, "There is only GET here."
        return self._refused_act(given)

    def _refused_act(self, given: Mapping[str, str]) -> tuple[int, str] | None:
        """A browser sends the Origin with every POST, which is this page's: others are refused by now."""
        if self._access.token is None:
            return 403, "Nothing can be done from a page without a token. Start `sedi web` with --token."
        if "origin" not in given:
            return 403, "Only the page itself acts: the request has no Origin."
        if given.get("content-type", "").partition(";")[0].strip() != "application/json":
            return 415, "An act is asked for as application/json."
        return None

    def _known(self, given: Mapping[str, str]) -> bool:
        if self._access.token is None:
            return True
        scheme, _, bearer = given.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip()):
            return True
        try:
            found = SimpleCookie(given.get("cookie", "")).get(self._access.cookie)
        except CookieError:
            return False
        return found is not None and self._is_token(found.value)

    def _is_token(self, text: str) -> bool:
        return compare_digest(text.encode(errors="replace"), (self._access.token or "").encode())


def _asked_token(scope: Scope) -> str | None:
    """The token in the address of the page itself."""
    if scope["path"] != "/":
        return None
    query = scope["query_string"].decode("latin-1").replace("+", "%2B")  # a token may have one, and has no spaces
    found = parse_qs(query).get("token")
    return found[0] if found else None


async def _answer(send: Send, status: int, text: str, headers: list[tuple[str, str]] | None = None) -> None:
    body = text.encode()
    given = [("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body))), *(headers or ())]
    raw = [(name.encode(), value.encode("latin-1")) for name, value in given]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
