"""Validates addresses before anything connects: Kafka bootstrap servers and endpoint URLs. Pure.

Each ValueError is a sentence, which the settings quote in their own error.
"""

import re
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from infra.masking import shown_url

_PORTS = range(1, 65536)
_HOST = re.compile(r"[^\s/@:,?#\[\]\x00-\x1f\x7f]+")


def servers(text: str) -> str:
    """Kafka servers, `host:port[,host:port...]`, with the blanks between them removed.

    Raises ValueError for a server without host or port, or with a port that is not a number from 1 to 65535.
    """
    return ",".join(_server(part.strip()) for part in text.split(","))


def endpoint(url: str) -> str:
    """The URL unchanged if it is `http://host[:port]/path` or https. Raises ValueError for anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{shown_url(url)!r} is not a URL: {error}. Give one like {_EXAMPLE}.") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{shown_url(url)!r} does not begin with http:// or https://. Give one like {_EXAMPLE}.")
    if not host or re.search(r"[\s\x00-\x1f\x7f]", url):
        what = "names no host" if not host else "has blanks or control characters in it"
        raise ValueError(f"{shown_url(url)!r} {what}. Give one like {_EXAMPLE}.")
    if port == 0:
        raise ValueError(f"the port of {shown_url(url)!r} is not a number from 1 to 65535.")
    return url


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: `localhost`, a name under it, or a loopback address."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


_EXAMPLE = "http://127.0.0.1:8000/v1"


def _server(text: str) -> str:
    what = f"{text!r} is not host:port"
    if "://" in text:
        raise ValueError(f"{what}: leave out {text.partition('://')[0]}://.")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or not _is_ipv6(host):
            raise ValueError(f"{what}: brackets hold an IPv6 address, as in [::1]:9092.")
    else:
        host, colon, port = text.rpartition(":")
        if ":" in host:
            raise ValueError(f"{what}: an IPv6 address needs brackets, as in [::1]:9092.")
    if colon != ":":
        raise ValueError(f"{what}: the port is missing, as in {text or '127.0.0.1'}:9092.")
    if not host:
        raise ValueError(f"{what}: the host is missing.")
    if not text.startswith("[") and not _HOST.fullmatch(host):
        raise ValueError(f"{what}: {host!r} cannot be a host's name.")
    if not (port.isascii() and port.isdecimal() and int(port[:6]) in _PORTS and len(port) < 6):
        raise ValueError(f"{what}: the port {port!r} is not a number from 1 to 65535.")
    return text


def _is_ipv6(host: str) -> bool:
    try:
        return bool(IPv6Address(host))
    except ValueError:
        return False
