"""Removes secrets from text that is shown, logged or written to a topic.

`masked` replaces known secrets in every encoding they may appear in (plain, quoted in a URL, in JSON), and text that
looks like a secret: user, password and query of a URL, what follows `Bearer`, `api_key=` and the like, and keys with a
provider's prefix. It may mask too much. A secret that is not given and looks like an ordinary word is not found.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit

BLOT = "***"

_SHORT = 6  # characters; a shorter secret is masked only as a whole word
_HARMLESS = ("api-version", "version")  # of a URL's query, by name
_NAME = r"[\w.\-]*(?:api[_\-]?key|apikey|access[_\-]?key|token|secret|passw(?:or)?d|signature|credential)"

_URL = re.compile(r"\b[a-z][a-z0-9+.\-]*://[^\s\"'<>]+", re.IGNORECASE)
_USER = re.compile(r"^([a-z][a-z0-9+.\-]*://)[^/?#]*@", re.IGNORECASE)
_ANY_USER = re.compile(r"(?<=//)[^/@]*@|^[^/@]*@")  # also in text that is no URL
_QUERY = re.compile(r"([?&;#])([^=&;#\s]+)=([^&;#\s]*)")
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=\-*]{4,}", re.IGNORECASE)
_NAMED = re.compile(rf"\b({_NAME}|x-goog-api-key|key)([\"']?\s*=\s*[\"']?)([^\s\"'&;,)}}\]]+)", re.IGNORECASE)
_HEADER = re.compile(r"\b((?:x-)?(?:goog-)?api-key|authorization)([\"']?\s*:\s*[\"']?)([^\s\"',;)}\]]+)", re.IGNORECASE)
_PREFIXED = re.compile(
    r"\b(?:sk|pk|rk|key|gsk|xai|hf|nvapi|pplx|r8|ghp|glpat|fw|csk)[-_][\w*\-]{12,}|\bAIza[\w\-*]{10,}|"
    r"\beyJ[\w\-]{8,}\.[\w\-]{8,}(?:\.[\w\-]*)?"
)


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with `secrets`, and whatever looks like one, replaced by `BLOT`."""
    for form in sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True):
        found = re.escape(form)
        text = re.sub(found if len(form) >= _SHORT else rf"(?<!\w){found}(?!\w)", BLOT, text)
    text = _URL.sub(lambda url: _masked_url(url[0]), text)
    text = _SCHEME.sub(rf"\1 {BLOT}", text)
    text = _NAMED.sub(_named, text)
    text = _HEADER.sub(_named, text)
    return _PREFIXED.sub(BLOT, text)


def shown_url(url: str) -> str:
    """A URL for messages: masked, without user and query. Accepts text that is not a valid URL."""
    return _ANY_USER.sub("", masked(url)).partition("?")[0].rstrip("/")


def secrets_of_url(url: str) -> list[str]:
    """The secrets in a URL: its password and the values of its query. Empty for a text that is not a URL."""
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
