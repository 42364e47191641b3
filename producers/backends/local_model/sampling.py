"""Samples the next token of each row of a batch, each with its own temperature, top-p, penalties and seed.

It uses the Gumbel-max trick: independent Gumbel noise is added to each logit divided by the temperature, and the
largest sum wins, which is a draw from the softmax. The noise is a hash of the row's seed, the place in its answer and
the token. So an answer depends on its own seed. The rest of the batch changes only the rounding of the logits, which
matters only where two sums are almost equal. Inverse transform sampling would be cheaper, but there every rounding
error shifts the borders of all tokens.
"""

from collections import Counter
from collections.abc import Sequence

import torch

from producers.backends.local_model.row import DecodingRow

_NUCLEUS = 1024  # tokens that mostly contain the nucleus; otherwise all are sorted, which takes ten times as long


def draw(logits: torch.Tensor, rows: Sequence[DecodingRow]) -> list[int]:
    """The next token of each row; `logits` is [rows, vocabulary]. Temperature 0 is greedy; the default is 1."""
    logits = logits.float()
    for place, row in enumerate(rows):
        _penalise(logits[place], row)
    tokens = logits.argmax(dim=-1)
    drawn = [place for place, row in enumerate(rows) if _temperature(row) > 0]
    if drawn:
        where = torch.tensor(drawn, device=logits.device)
        tokens[where] = _drawn(logits[where], [rows[place] for place in drawn])
    found: list[int] = tokens.tolist()
    return found


def _drawn(logits: torch.Tensor, rows: Sequence[DecodingRow]) -> torch.Tensor:
    device = logits.device
    logits = logits / torch.tensor([_temperature(row) for row in rows], device=device)[:, None]
    for place, row in enumerate(rows):
        if row.sampling.top_p is not None and row.sampling.top_p < 1:
            logits[place, logits[place] < _least(logits[place], row.sampling.top_p)] = float("-inf")
    seeds = torch.tensor([row.next_seed() for row in rows], device=device)
    return (logits + _gumbel(seeds, logits.shape[-1])).argmax(dim=-1)


def _least(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """The least logit of the nucleus: the most probable tokens that together reach `top_p`, at least one."""
    size = logits.shape[-1]
    normal = logits.logsumexp(dim=-1)
    for number in (min(_NUCLEUS, size), size):
        most = logits.topk(number).values
        reached = (most - normal).exp().cumsum(dim=-1) >= top_p
        if reached.any():
            return most[reached.int().argmax()]
    return most[-1]


def _gumbel(seeds: torch.Tensor, size: int) -> torch.Tensor:
    """Gumbel noise, [rows, size], as a function of seed and column: -log(-log(1 - u)), where u is a hash of both."""
    columns = torch.arange(1, size + 1, device=seeds.device)
    bits = _mixed(seeds[:, None] + columns[None, :] * _signed(0x9E3779B97F4A7C15))
    # 53 bits, never 0. As floats the small ones, which make the large noise, keep their precision.
    uniform = (((bits >> 11) & ((1 << 53) - 1)) + 1).float() * 2.0**-53
    return -(-torch.log1p(-uniform)).log()


def _mixed(state: torch.Tensor) -> torch.Tensor:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014), in wrapping 64-bit arithmetic."""
    for shift, times in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ ((state >> shift) & ((1 << (64 - shift)) - 1))) * _signed(times)
    return state ^ ((state >> 31) & ((1 << 33) - 1))


def _signed(value: int) -> int:
    """The same 64 bits as torch holds them."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _penalise(logits: torch.Tensor, row: DecodingRow) -> None:
    """Lower, in place, the logits of tokens already generated, as the OpenAI API defines its two penalties."""
    presence, frequency = row.sampling.presence_penalty or 0.0, row.sampling.frequency_penalty or 0.0
    if not row.generated or not (presence or frequency):
        return
    counts = Counter(row.generated)
    where = torch.tensor(list(counts), device=logits.device)
    times = torch.tensor(list(counts.values()), dtype=logits.dtype, device=logits.device)
    logits[where] -= presence + frequency * times


def _temperature(row: DecodingRow) -> float:
    return 1.0 if row.sampling.temperature is None else row.sampling.temperature
