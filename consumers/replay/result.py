"""What an audit found, as it is printed."""

import msgspec

from consumers.replay.findings import Divergence, Place, Repeat, Unreadable


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit found.

    from_offset, through_offset   offsets of `generated` whose decisions were made again
    undecided      records of `generated` on which the filter has said nothing yet
    pending        kept rows of generations that the filter is not done with
    checked        how many of each were compared
    divergences    how many, by kind in `by_kind`; `first` and the first few in `found`
    repeats        events that stand on the log more than once, by topic; the first few in `repeated`
    unreadable     records that nothing can be read from, by topic; the first few in `not_read`
    not_in_dead_letters   (topic, partition, offset) of those that no reader has put aside yet
    digests        of what the log says, see `consumers.replay.digests`; they cover the log from its start
    records        records read
    """

    run: str
    from_offset: int
    through_offset: int
    undecided: int
    pending: int
    checked: dict[str, int]
    divergences: int
    by_kind: dict[str, int]
    first: Divergence | None
    found: tuple[Divergence, ...]
    repeats: dict[str, int]
    repeated: tuple[Repeat, ...]
    unreadable: dict[str, int]
    not_read: tuple[Unreadable, ...]
    not_in_dead_letters: tuple[Place, ...]
    digests: dict[str, str]
    records: int
    seconds: float
