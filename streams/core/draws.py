"""Reproducible draws: uniform, normal, gamma and beta numbers that follow from a text alone.

The bits are SHA-256 of the text and a counter. What is made of them uses only the operations that IEEE 754 rounds
correctly (sums, products, quotients, square roots), with a logarithm of our own: a C library's may differ in the last
bit from one platform to the next, and then a choice might too.
"""

import hashlib
import math
from collections.abc import Iterator
from itertools import count

_SQRT_HALF = 0.7071067811865476
_LN_2 = 0.6931471805599453
_LAST_TERM = 21  # of the series: below the last bit for all that is left of a mantissa


def uniforms(text: str) -> Iterator[float]:
    """Independent uniform numbers strictly between 0 and 1, without end: 52 bits each."""
    for block in count():
        digest = hashlib.sha256(f"{text}/{block}".encode()).digest()
        for start in range(0, 32, 8):
            yield ((int.from_bytes(digest[start : start + 8]) >> 12) + 0.5) / 2**52


def natural_log(value: float) -> float:
    """The natural logarithm of a positive number, to a few units in the last place; the same on every platform.

    ln(m * 2**e) = e ln 2 + 2 atanh((m - 1) / (m + 1)), with m between the square roots of 1/2 and of 2.
    """
    mantissa, exponent = math.frexp(value)
    if mantissa < _SQRT_HALF:
        mantissa, exponent = 2 * mantissa, exponent - 1
    ratio = (mantissa - 1) / (mantissa + 1)
    square, total = ratio * ratio, 0.0
    for odd in range(_LAST_TERM, 0, -2):
        total = total * square + 1 / odd
    return 2 * ratio * total + exponent * _LN_2


def normal(source: Iterator[float]) -> float:
    """A standard normal number: Marsaglia's polar method."""
    while True:
        x, y = 2 * next(source) - 1, 2 * next(source) - 1
        square = x * x + y * y
        if 0.0 < square < 1.0:
            return x * math.sqrt(-2 * natural_log(square) / square)


def gamma(shape: float, source: Iterator[float]) -> float:
    """A gamma number of a shape of 1 or more, and scale 1: the method of Marsaglia and Tsang (2000), which is exact."""
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        x = normal(source)
        root = 1 + c * x
        if root <= 0.0:
            continue
        v = root * root * root
        if natural_log(next(source)) < 0.5 * x * x + d - d * v + d * natural_log(v):
            return d * v


def beta(a: float, b: float, source: Iterator[float]) -> float:
    """A beta number of parameters of 1 or more: a share of two gamma numbers."""
    one, other = gamma(a, source), gamma(b, source)
    return one / (one + other)
