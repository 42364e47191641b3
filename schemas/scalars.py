"""Types of single values in events, with their limits."""

from typing import Annotated

import msgspec

_MOST = 2**63 - 1  # the range of Kafka's offsets and of the tables that events are read into

Offset = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
LastOffset = Annotated[int, msgspec.Meta(ge=-1, le=_MOST)]
Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Place = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Ordinal = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
Amount = Annotated[float, msgspec.Meta(ge=0.0)]
Similarity = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
