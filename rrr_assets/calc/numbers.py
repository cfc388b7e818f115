"""Exact numbers: scales, sums without rounding, rounding of ratios, plain printing.

Belongs here: what one needs of single numbers, and nothing heavy: the contracts of all tables read it. Does not: arrays of them
(decimals.py), what a price means (bars, conformance), how a table stores it.
"""

from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

PRICE_SCALE: Final = 12
SIZE_SCALE: Final = 18
NOTIONAL_SCALE: Final = PRICE_SCALE + SIZE_SCALE
VWAP_SCALE: Final = 12

# Wide enough for any sum of NOTIONAL values: Python's default context of 28 digits rounds silently.
EXACT: Final = Context(prec=400, rounding=ROUND_HALF_UP)


def plain(number: Decimal) -> str:
    """Print a decimal as a plain string: no exponent, trailing zeros trimmed, no negative zero.

    >>> plain(Decimal("28165.470000")), plain(Decimal("1E+3")), plain(Decimal("-0.00"))
    ('28165.47', '1000', '0')
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def vwap(quote_volume: Decimal, volume: Decimal) -> Decimal | None:
    """Volume-weighted average price: quote_volume / volume to 12 decimals, half away from zero.

    Computed at the end from exact sums, never averaged and never rolled up. None when volume is 0.
    """
    if volume == 0:
        return None
    return round_ratio(quote_volume, volume, VWAP_SCALE)


def round_ratio(numerator: Decimal, denominator: Decimal, scale: int) -> Decimal:
    """numerator / denominator rounded once, half away from zero, to `scale` decimals.

    The division is of integers: a quotient that is rounded to some precision first and to `scale`
    after would be rounded twice. Both numbers are finite and the denominator is not 0.
    """
    exponent = min(_exponent(numerator), _exponent(denominator))
    above = int(EXACT.scaleb(numerator, -exponent)) * 10**scale
    below = int(EXACT.scaleb(denominator, -exponent))
    magnitude, rest = divmod(abs(above), abs(below))
    if 2 * rest >= abs(below):
        magnitude += 1
    sign = -1 if (above < 0) != (below < 0) else 1
    return EXACT.scaleb(Decimal(sign * magnitude), -scale)


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"not a finite number: {number}")
    return exponent
