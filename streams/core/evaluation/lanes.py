"""Names of the lanes of evaluations on the ledger: a digest of what is asked of whom, so that no two share one."""

import hashlib
from collections.abc import Sequence

LANE = "eval"
"""The part of a ledger lane's name before the slash when its calls are an evaluation's."""

_DIGITS = 16


def evaluation_lane(kind: str, asked: Sequence[str]) -> str:
    """The lane of answers or judgements. `asked`: what identifies them, such as keys of models and sets."""
    return f"{LANE}/{kind}/{digest_of(asked)}"


def digest_of(asked: Sequence[str]) -> str:
    """The digest in a lane's name of what is asked."""
    whole = hashlib.sha256()
    for part in asked:
        whole.update(f"{len(part)}:{part}".encode())
    return whole.hexdigest()[:_DIGITS]
