"""The one place that blots secrets out of texts which are shown, logged or put on a topic.

`masked` takes out what is known to be secret, in the forms a secret takes on its way (as it is, quoted in a URL, in
JSON), and what looks like one: the user and password and the query of a URL, what follows `Bearer`, `api_key=` and the
like, and keys by the prefixes that providers give them. It may blot out too much, never on purpose too little; a secret
that nobody named and that looks like any word is not found.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

BLOT = "***"

_SHORT = 6  # characters; a shorter secret is only blotted out where it stands alone, lest it be found in every word
_HARMLESS = ("api-version", "version")  # of a URL's query, by name
_NAME = r"[\w.\-]*(?:api[_\-]?key|apikey|access[_\-]?key|token|secret|passw(?:or)?d|signature|credential)"

_URL = re.compile(r"\b[a-z][a-z0-9+.\-]*://[^\s\"'<>]+", re.IGNORECASE)
_USER = re.compile(r"^([a-z][a-z0-9+.\-]*://)[^/?#]*@", re.IGNORECASE)
_QUERY = re.compile(r"([?&;#])([^=&;#\s]+)=([^&;#\s]*)")
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=\-*]{4,}", re.IGNORECASE)
_NAMED = re.compile(rf"\b({_NAME}|x-goog-api-key|key)([\"']?\s*=\s*[\"']?)([^\s\"'&;,)}}\]]+)", re.IGNORECASE)
_HEADER = re.compile(r"\b((?:x-)?(?:goog-)?api-key|authorization)([\"']?\s*:\s*[\"']?)([^\s\"',;)}\]]+)", re.IGNORECASE)
_PREFIXED = re.compile(
    r"\b(?:sk|pk|rk|key|gsk|xai|hf|nvapi|pplx|r8|ghp|glpat|fw|csk)[-_][\w*\-]{12,}|\bAIza[\w\-*]{10,}|"
    r"\beyJ[\w\-]{8,}\.[\w\-]{8,}(?:\.[\w\-]*)?"
)


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without `secrets`, and without what looks like one."""
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        found = re.escape(form)
        text = re.sub(found if len(form) >= _SHORT else rf"(?<!\w){found}(?!\w)", BLOT, text)
    text = _URL.sub(lambda url: _masked_url(url[0]), text)
    text = _SCHEME.sub(rf"\1 {BLOT}", text)
    text = _NAMED.sub(_named, text)
    text = _HEADER.sub(_named, text)
    return _PREFIXED.sub(BLOT, text)


def shown_url(url: str) -> str:
    """A URL as it is named in messages: masked, and without its query."""
    return masked(url).partition("?")[0].rstrip("/")


def secrets_of_url(url: str) -> list[str]:
    """What of a URL is secret: its user's password and the values of its query. Nothing, if it cannot be read."""
    try:
        parts = urlsplit(url)
        password = parts.password
    except ValueError:
        return []
    values = [value for name, value in parse_qsl(parts.query) if name.lower() not in _HARMLESS]
    return [unquote(value) for value in (password or "", *values) if value]


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]} - {""}


def _masked_url(url: str) -> str:
    def parameter(found: re.Match[str]) -> str:
        start, name, value = found.groups()
        return found[0] if name.lower() in _HARMLESS or not value else f"{start}{name}={BLOT}"

    return _QUERY.sub(parameter, _USER.sub(r"\1", url))


def _named(found: re.Match[str]) -> str:
    name, equals, value = found.groups()
    return found[0] if value.lower() in ("bearer", "basic", "none", "null") else f"{name}{equals}{BLOT}"
