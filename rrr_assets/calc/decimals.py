"""Exact numbers in Arrow: the decimal types of the platform, and from a venue's text to them and back, without a float on the way.

Belongs here: what works on whole arrays. Does not: single numbers and their rounding (numbers.py), how a table stores them.
A price has at most 12 decimals and a size at most 18; nothing is rounded on the way in: a text with
more decimals than its type holds is refused, by mask, and the caller quarantines the row.
"""

import re
from decimal import Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rrr_assets.calc.numbers import EXACT, NOTIONAL_SCALE, PRICE_SCALE, SIZE_SCALE

PRICE: Final = pa.decimal128(38, PRICE_SCALE)
SIZE: Final = pa.decimal128(38, SIZE_SCALE)
NOTIONAL: Final = pa.decimal256(76, NOTIONAL_SCALE)
"""Price times size: 12 and 18 decimals make 30, and 26 and 20 integer digits make 46."""

NOTIONAL_READ: Final = pa.decimal128(38, 20)
"""What reads hand out where every value fits it exactly, because few engines know more than 38 digits; NOTIONAL otherwise."""

WIDE_SIZE: Final = pa.decimal256(76, SIZE_SCALE)
"""A sum of sizes that passes 38 digits."""

# Exponents are held to two digits and digits to 60, because nothing longer fits any type here.
_DECIMAL_TEXT: Final = re.compile(r"[+-]?(0*[0-9]{1,60}(\.[0-9]{0,60})?|\.[0-9]{1,60})([eE][+-]?[0-9]{1,2})?")
_SMALL_TEXT: Final = r"^(?P<sign>-?)(?P<lead>[0-9])(?:\.(?P<rest>[0-9]+))?E-(?P<exponent>[0-9]+)$"
_INTEGER_TEXT: Final = r"^-?[0-9]{1,19}$"


def parse_decimals(texts: pa.StringArray, to: pa.Decimal128Type) -> pa.Decimal128Array:
    """Read decimal texts exactly.

    Args:
        texts: Plain or exponent notation, ASCII digits, no spaces; null stays null.
        to: The decimal type of the result.

    Returns:
        An array of `to`, as long as `texts`; null where the text is null, is no number, has more
        decimals than `to` (trailing zeros do not count), or does not fit its precision.
    """
    # Arrow's cast cannot be trusted with every text: it dies (SIGSEGV) on '1e-999999999', and a number too large
    # for the type may wrap round into another one. It gets texts without exponent whose whole digits fit.
    whole_digits = to.precision - to.scale
    if _consists_of(texts, b"0123456789.", whole_digits):
        return _cast_or_null(texts, to)
    is_simple = pc.match_substring_regex(texts, rf"^[+-]?0*[0-9]{{0,{whole_digits}}}(\.[0-9]{{0,{to.scale}}})?$")
    numbers = _cast_or_null(pc.if_else(is_simple, texts, pa.scalar(None, texts.type)), to)
    if pc.all(is_simple).as_py() is not False:
        return numbers
    others = pc.invert(is_simple).fill_null(False)
    return pc.replace_with_mask(numbers, others, pa.array([_read(text, to) for text in texts.filter(others).to_pylist()], to))


def _read(text: str, to: pa.Decimal128Type) -> Decimal | None:
    """One decimal text as `parse_decimals` reads it."""
    if not _DECIMAL_TEXT.fullmatch(text):
        return None
    scaled = EXACT.scaleb(Decimal(text), to.scale)
    whole = int(scaled)
    return EXACT.scaleb(Decimal(whole), -to.scale) if whole == scaled and abs(whole) < 10**to.precision else None


def most_whole_digits(texts: pa.StringArray | pa.ChunkedArray) -> int:
    """The longest whole part of plain decimal texts, in digits.

    Arrow casts text to a decimal by scaling first, and where value * 10^scale passes its 128 bits it wraps
    around without a word: cast only where whole digits and scale together fit the precision.
    """
    digits = pc.replace_substring_regex(pc.replace_substring_regex(texts, r"\..*$", ""), "^[+-]", "")
    return pc.max(pc.utf8_length(digits)).as_py() or 0


def parse_integers(texts: pa.StringArray) -> pa.Int64Array:
    """Read whole numbers into int64; null where the text is null, is no integer or does not fit 64 bits."""
    if not _consists_of(texts, b"0123456789", 19):
        texts = pc.if_else(pc.match_substring_regex(texts, _INTEGER_TEXT), texts, pa.scalar(None, texts.type))
    return _cast_or_null(texts, pa.int64())


def _consists_of(texts: pa.StringArray, alphabet: bytes, longest: int) -> bool:
    """Whether there are texts, none longer than so many characters, and all of this alphabet: cheaper than a regular expression on each."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return False
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
    return int(np.diff(bounds).max()) <= longest and not bytes(data[bounds[0] : bounds[-1]]).translate(None, alphabet)


def _cast_or_null(texts: pa.Array, to: pa.DataType) -> pa.Array:
    """Cast whole; where that fails, halve until the offending values stand alone, and null those.

    Bad rows are rare, so a file costs one cast; k bad rows among n cost k log n small ones.
    """
    try:
        return pc.cast(texts, to)
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return pa.nulls(1, to)
    middle = len(texts) // 2
    return pa.concat_arrays([_cast_or_null(texts.slice(0, middle), to), _cast_or_null(texts.slice(middle), to)])


def plain_texts(numbers: pa.Array) -> pa.StringArray:
    """Print a decimal array as plain strings (see `plain`), without a Python object per value."""
    texts = pc.cast(numbers, pa.string())
    has_exponent = pc.match_substring(texts, "E")
    if pc.any(has_exponent).as_py():
        texts = pc.replace_with_mask(texts, has_exponent, _without_exponent(texts.filter(has_exponent)))
    has_point = pc.match_substring(texts, ".")
    trimmed = pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), ".")
    return pc.if_else(has_point, trimmed, texts)


def _without_exponent(texts: pa.StringArray) -> pa.StringArray:
    """Write out small numbers that Arrow prints as '0E-12' or '-1.5E-8'; trailing zeros may be left over."""
    parts = pc.extract_regex(texts, _SMALL_TEXT)
    sign, lead, rest, exponent = (pc.struct_field(parts, name) for name in ("sign", "lead", "rest", "exponent"))
    zeros = pc.binary_repeat("0", pc.subtract(pc.cast(exponent, pa.int32()), 1))
    return pc.binary_join_element_wise(sign, "0.", zeros, lead, rest, "")


def scales(numbers: pa.Array) -> pa.Int32Array:
    """Number of decimals each value needs, trailing zeros not counted."""
    texts = plain_texts(numbers)
    point = pc.find_substring(texts, ".")
    length = pc.utf8_length(texts)
    return pc.if_else(pc.equal(point, -1), pa.scalar(0, pa.int32()), pc.subtract(pc.subtract(length, point), 1))
