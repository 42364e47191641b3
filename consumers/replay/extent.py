"""The part of a run that is decided again."""

from dataclasses import dataclass

from infra.log.record import Record
from schemas.errors import ConfigurationError


@dataclass(frozen=True)
class AuditExtent:
    """Generations to decide again, from one place to another, both included; None for the run's ends.

    A place is an offset of `generated` or a timestamp in ms. Earlier generations are taken as recorded.
    """

    from_offset: int | None = None
    from_ms: int | None = None
    to_offset: int | None = None
    to_ms: int | None = None

    def __post_init__(self) -> None:
        if self.from_offset is not None and self.to_offset is not None and self.from_offset > self.to_offset:
            raise ConfigurationError(f"The range from offset {self.from_offset} to {self.to_offset} is empty.")

    def begun(self, record: Record) -> bool:
        """Whether a record of `generated` is in the range or after it."""
        return record.offset >= (self.from_offset or 0) and record.timestamp_ms >= (self.from_ms or 0)

    def ended(self, offset: int, timestamp_ms: int) -> bool:
        """Whether a record of `generated` is after the range."""
        return (self.to_offset is not None and offset > self.to_offset) or (
            self.to_ms is not None and timestamp_ms > self.to_ms
        )

    @property
    def whole(self) -> bool:
        """Whether the range reaches to the run's end."""
        return self.to_offset is None and self.to_ms is None
