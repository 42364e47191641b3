"""What calls cost: the prices in the settings, in the user's file, or in the table that comes with the program.

In this order, and the first that knows wins whole: the settings `usd_per_1m_...`, which are for any backend; the file
that `prices_file` names; the program's own table, `prices.toml`. A file or table is asked only for an endpoint, and
has a list of models for each vendor. A list with `hosts` holds for those hosts alone: whoever serves a model of the
same name elsewhere asks another price. A list of the user's without hosts holds for any endpoint.

A model's name matches exactly, or with a whole date after it, as `gpt-4o-mini-2024-07-18`; nothing else is guessed. A
price that is not known is None, and so is the cost then. Where only the price of cached prompt tokens or that of
batches is not known, the full price counts instead, so that a cost is never too low.
"""

import os
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from infra.settings import Settings
from schemas.errors import ConfigurationError
from schemas.events import Usage

STALE_AFTER_DAYS = 180
"""A price in the program's table that was read longer ago than this is reported before it is used."""

HOW_TO_PRICE = (
    "neither the settings nor a prices file nor this program's table has the model at this endpoint. Set "
    "SEDI_USD_PER_1M_PROMPT_TOKENS and SEDI_USD_PER_1M_COMPLETION_TOKENS, or SEDI_PRICES_FILE"
)
"""Why a price is not known, and what to do."""

_TABLE = Path(__file__).parent / "prices.toml"
_OF_BATCHES = 0.5  # of the full price, at OpenAI itself; another endpoint may give no discount
_OPENAI = "https://api.openai.com/v1"
_DATE = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8})\Z")

_Usd = Annotated[float, msgspec.Meta(ge=0.0)]


@dataclass(frozen=True)
class Prices:
    """USD per million tokens. None is unknown, and so is the cost then.

    cached   of prompt tokens that the endpoint had in its cache; None: the full price
    batch    of the batch API; None: the full prices
    """

    prompt: float | None = None
    completion: float | None = None
    cached: float | None = None
    batch: "Prices | None" = None

    @classmethod
    def of(cls, settings: Settings, model: str | None = None) -> "Prices":
        """The prices of a model, or of the settings' own. Raises ConfigurationError as `prices_in_use` does."""
        return prices_in_use(settings, model).prices

    @property
    def known(self) -> bool:
        return self.prompt is not None and self.completion is not None

    @property
    def in_batches(self) -> "Prices":
        """The prices of the batch API."""
        return self.batch or self

    def cost(self, usage: Usage | None) -> float | None:
        """The cost in USD; None: not known."""
        if usage is None or self.prompt is None or self.completion is None:
            return None
        cached = usage.cached_tokens or 0
        cached_price = self.prompt if self.cached is None else self.cached
        full = (usage.prompt_tokens - cached) * self.prompt + usage.completion_tokens * self.completion
        return (full + cached * cached_price) / 1_000_000


FREE = Prices(0.0, 0.0)
"""Of what is computed in this process."""


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per million tokens of a model, in a file. `as_of`: when it was read, if not on its list's day."""

    prompt: _Usd
    completion: _Usd
    cached: _Usd | None = None
    batch_prompt: _Usd | None = None
    batch_completion: _Usd | None = None
    as_of: date | None = None

    def __post_init__(self) -> None:
        if (self.batch_prompt is None) != (self.batch_completion is None):
            raise ValueError("a price of batches needs batch_prompt and batch_completion")

    @property
    def prices(self) -> Prices:
        return _prices_of(self)


class PriceList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The models of a vendor.

    hosts    of its endpoints; empty: any
    as_of    when the prices were read
    source   where, in words
    """

    models: dict[str, ModelPrice]
    hosts: tuple[str, ...] = ()
    as_of: date | None = None
    source: str = ""


class PricesInUse(msgspec.Struct, frozen=True, kw_only=True):
    """The prices that calls are made at, in USD per million tokens, and where they come from.

    model              that was asked for
    matched            the name it has in the file or table
    cached             None: prompt tokens in the cache are counted at the full price
    batch_prompt, batch_completion   None: batches are counted at the full prices
    origin             None: nobody knows a price, so costs are unknown
    as_of              when the price was read; None: its origin does not say
    """

    model: str | None
    matched: str | None = None
    prompt: float | None = None
    cached: float | None = None
    completion: float | None = None
    batch_prompt: float | None = None
    batch_completion: float | None = None
    origin: Literal["settings", "file", "table"] | None = None
    as_of: date | None = None
    source: str = ""

    @property
    def prices(self) -> Prices:
        return _prices_of(self)

    @property
    def known(self) -> bool:
        return self.prices.known

    def described(self) -> str:
        """The prices and their origin in a sentence."""
        if not self.known:
            return f"unknown: {HOW_TO_PRICE}"
        cached = "cached ones at the full price" if self.cached is None else f"${self.cached:g} for cached ones"
        dated = "" if self.as_of is None else f", as of {self.as_of}"
        where = {"settings": "from the settings", "file": "from the prices file", "table": "from this program's table"}
        return (
            f"${self.prompt:g} for 1M prompt tokens, {cached}, ${self.completion:g} for 1M completion tokens; "
            f"{where[self.origin or 'settings']}{dated}"
        )

    def stale(self, today: date) -> str | None:
        """What to say before spending at an old price of the program's table; None: it is recent, or the user's own."""
        if self.origin != "table" or self.as_of is None or (today - self.as_of).days <= STALE_AFTER_DAYS:
            return None
        return (
            f"The prices of {self.matched} are from this program's table, as of {self.as_of}, "
            f"{(today - self.as_of).days} days ago. Costs and --max-usd follow them. Check them, and set "
            "SEDI_USD_PER_1M_PROMPT_TOKENS and SEDI_USD_PER_1M_COMPLETION_TOKENS, or SEDI_PRICES_FILE."
        )


def prices_in_use(settings: Settings, model: str | None = None) -> PricesInUse:
    """The prices of calls that these settings make to a model; None: to the settings' own.

    Raises ConfigurationError when the prices file cannot be read.
    """
    model = model or settings.model
    cached = settings.usd_per_1m_cached_tokens
    prompt, completion = settings.usd_per_1m_prompt_tokens, settings.usd_per_1m_completion_tokens
    if prompt is not None or completion is not None:
        share = settings.batch_price_share
        if share is None:
            at_openai = settings.backend == "openai" and endpoint_host(settings) == urlsplit(_OPENAI).hostname
            share = _OF_BATCHES if at_openai else 1.0
        batched = share < 1.0 and prompt is not None and completion is not None
        return PricesInUse(
            model=model,
            prompt=prompt,
            cached=cached,
            completion=completion,
            batch_prompt=prompt * share if batched and prompt is not None else None,
            batch_completion=completion * share if batched and completion is not None else None,
            origin="settings",
        )
    nothing = PricesInUse(model=model)
    if settings.backend != "openai" or model is None:
        return nothing
    own = {} if settings.prices_file is None else price_lists(settings.prices_file.expanduser())
    host = endpoint_host(settings)
    found = _found(own, model, host, "file") or _found(price_lists(_TABLE), model, host, "table") or nothing
    return found if cached is None else msgspec.structs.replace(found, cached=cached)


@cache
def price_lists(file: Path) -> dict[str, PriceList]:
    """The lists in a file, by vendor. Raises ConfigurationError when it cannot be read."""
    try:
        return msgspec.toml.decode(file.read_bytes(), type=dict[str, PriceList])
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError, ValueError) as error:
        raise ConfigurationError(
            f"The prices file {file} cannot be used: {error}. Correct it (docs/configuration.md shows one), or leave "
            "out SEDI_PRICES_FILE."
        ) from error


def endpoint_host(settings: Settings) -> str:
    """The host that the backend `openai` asks."""
    url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI
    return (urlsplit(url).hostname or "").lower()


def _prices_of(each: "ModelPrice | PricesInUse") -> Prices:
    batch = None if each.batch_prompt is None else Prices(each.batch_prompt, each.batch_completion)
    return Prices(each.prompt, each.completion, each.cached, batch)


def _found(lists: dict[str, PriceList], model: str, host: str, origin: Literal["file", "table"]) -> PricesInUse | None:
    """The price of a model in lists: by its exact name before one with a date, in the lists for the host first."""
    fitting = [each for each in lists.values() if host in each.hosts] + [x for x in lists.values() if not x.hosts]
    for name in dict.fromkeys((model, _DATE.sub("", model))):
        for each in fitting:
            price = each.models.get(name)
            if price is not None:
                return PricesInUse(
                    model=model,
                    matched=name,
                    prompt=price.prompt,
                    cached=price.cached,
                    completion=price.completion,
                    batch_prompt=price.batch_prompt,
                    batch_completion=price.batch_completion,
                    origin=origin,
                    as_of=price.as_of or each.as_of,
                    source=each.source,
                )
    return None
