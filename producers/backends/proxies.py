"""The HTTP client of an endpoint, with the proxies that the environment names.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are used as usual. An endpoint on this machine is never reached through
a proxy, whose loopback address is another machine's.
"""

import os
from typing import Any
from urllib.request import proxy_bypass

from infra.cluster.addresses import is_loopback
from infra.masking import masked
from producers.backends.bounded import BoundedClient
from schemas.errors import ConfigurationError

_NAMES = ("http_proxy", "https_proxy", "all_proxy")


def client_of(host: str, **options: Any) -> BoundedClient:
    """A client for an endpoint on `host`; `options` are httpx's.

    Raises ConfigurationError for an unusable proxy: of an unknown kind, or SOCKS without its package.
    """
    try:
        return BoundedClient(trust_env=not is_loopback(host), **options)
    except (ImportError, ValueError) as error:
        if proxy_bypass(host):
            return BoundedClient(trust_env=False, **options)
        names = ", ".join(sorted(name for name in os.environ if name.lower() in _NAMES))
        what = "SOCKS needs a package that is not installed" if isinstance(error, ImportError) else masked(str(error))
        remedy = "`pip install socksio` in this environment" if isinstance(error, ImportError) else "Name an HTTP proxy"
        raise ConfigurationError(
            f"The proxy that the environment names ({names}) cannot be used to reach {host}: {what}. {remedy}, "
            f"unset it, or name {host} in NO_PROXY."
        ) from None
