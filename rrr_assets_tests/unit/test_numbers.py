"""Exact numbers: every vectorised way against Python's decimals and fractions."""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.decimals import NOTIONAL, PRICE, SIZE, parse_decimals, parse_integers, plain_texts, scales
from rrr_assets.calc.numbers import plain, round_ratio, vwap

TYPES = (PRICE, SIZE, pa.decimal128(38, 9))

digits = st.text("0123456789", max_size=20)
many_digits = st.text("0123456789", max_size=70)
pieces = st.one_of(digits, many_digits)
exponents = st.one_of(st.just(""), st.from_regex(r"[eE][+-]?[0-9]{1,12}", fullmatch=True))
number_like = st.builds("".join, st.tuples(st.sampled_from(["", "", "-", "+"]), pieces, st.sampled_from(["", "."]), pieces, exponents))
plain_like = st.builds("{}.{}".format, digits, digits)
ODD = (
    *(
        "",
        " ",
        ".",
        "-",
        "+.",
        "e5",
        "1e",
        "NaN",
        "nan",
        "sNaN",
        "Infinity",
        "-inf",
        "1_000",
        " 1",
        "1 ",
        "1\n",
        "\t1",
        "1,5",
        "0x10",
        "--1",
    ),
    *("\u0661\u0662", "\uff11", "1\u00a0", "\u22121", "1\x00", "-0", "-0.0", "+1", "1.", ".5", "007", "1.2.3", "1.5e0", "15e-1", "0.15E+1"),
    *("1e-999999999", "1e999999999", "1e-99", "1e99", "0e99", "1e25", "1e26", "1e-12", "1e-13", "0.0000000000010", "0.00000000000100001"),
    *(
        "9" * 38,
        "9" * 39,
        "11" + "0" * 22,
        "1.1e23",
        "1" + "0" * 60,
        "0" * 61,
        "0." + "0" * 60,
        "1." + "0" * 59,
        "0" * 50 + "7",
        "0.5" + "0" * 55,
    ),
)
odd = st.sampled_from(ODD)
texts = st.one_of(
    st.lists(plain_like, max_size=8), st.lists(st.one_of(number_like, plain_like, odd, st.text(max_size=12), st.none()), max_size=12)
)


def expected_decimal(text: str | None, to: pa.Decimal128Type) -> Decimal | None:
    """What Python's decimal reads, where the text is ASCII without blanks, of sane length, and the type holds it."""
    if text is None or not re.fullmatch(r"[+\-.0-9eE]+", text):
        return None
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent.lstrip("+-")) > 2 or any(len(part) > 60 for part in mantissa.lstrip("+-").lstrip("0").split(".")):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    scaled = Fraction(number) * 10**to.scale
    return number if scaled.denominator == 1 and abs(scaled) < 10**to.precision else None


@given(texts, st.sampled_from(TYPES), st.integers(0, 3))
def test_decimals_are_read_as_python_reads_them(values: list[str | None], to: pa.Decimal128Type, skipped: int) -> None:
    found = parse_decimals(pa.array(values, pa.string()).slice(skipped), to)
    found.validate(full=True)
    assert found.type == to
    assert found.to_pylist() == [expected_decimal(text, to) for text in values[skipped:]]


@pytest.mark.parametrize("to", TYPES)
@pytest.mark.parametrize("text", ODD)
def test_odd_texts_are_read_as_python_reads_them(text: str, to: pa.Decimal128Type) -> None:
    for before, after in ([], []), ([], ["1.5"]), ([], ["1.5", "-1e2", None]), (["1.5"], []):
        part = pa.array([*before, text, *after], pa.string()).slice(len(before))
        assert parse_decimals(part, to)[0].as_py() == expected_decimal(text, to)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(0, 40), st.booleans()), min_size=1), st.sampled_from(TYPES))
def test_a_number_too_large_is_none_and_never_another(values: list[tuple[int, int, bool]], to: pa.Decimal128Type) -> None:
    written = [f"{lead}e{zeros}" if has_exponent else f"{lead}{'0' * zeros}" for lead, zeros, has_exponent in values]
    assert parse_decimals(pa.array(written), to).to_pylist() == [expected_decimal(text, to) for text in written]


@given(
    st.lists(st.one_of(st.integers(-(2**64), 2**64).map(str), digits, number_like, odd, st.text(max_size=8), st.none())), st.integers(0, 3)
)
def test_integers_are_read_as_python_reads_them(values: list[str | None], skipped: int) -> None:
    found = parse_integers(pa.array(values, pa.string()).slice(skipped))
    numbers = [int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,19}", text) else None for text in values[skipped:]]
    assert found.to_pylist() == [number if number is not None and -(2**63) <= number < 2**63 else None for number in numbers]


def decimals_of(kind: pa.DataType) -> st.SearchStrategy[Decimal]:
    """Any value of a decimal type, small exponents and many digits alike."""
    return st.one_of(
        st.integers(-(10**kind.precision) + 1, 10**kind.precision - 1), st.integers(-(10**20), 10**20), st.integers(-999, 999)
    ).map(lambda value: Decimal((value < 0, tuple(int(digit) for digit in str(abs(value))), -kind.scale)))


@given(
    st.sampled_from([PRICE, SIZE, NOTIONAL]).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(st.one_of(decimals_of(kind), st.none())))
    )
)
def test_printed_numbers_are_plain_and_come_back(kind_and_numbers: tuple[pa.DataType, list[Decimal | None]]) -> None:
    kind, numbers = kind_and_numbers
    array = pa.array(numbers, kind)
    printed = plain_texts(array).to_pylist()
    assert printed == [None if number is None else plain(number) for number in numbers]
    for number, text in zip(numbers, printed, strict=True):
        if number is not None:
            assert re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", text)
            assert text != "-0"
            assert Decimal(text) == number
    assert scales(array).to_pylist() == [None if text is None else len(text.partition(".")[2]) for text in printed]
    if kind != NOTIONAL:
        assert parse_decimals(pa.array(printed, pa.string()), kind).to_pylist() == numbers


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_decimal_is_printed_plainly(number: Decimal) -> None:
    text = plain(number)
    assert "E" not in text
    assert Decimal(text) == number
    assert not ("." in text and text.endswith("0"))


def half_away(ratio: Fraction, scale: int) -> Fraction:
    """The definition: to the nearest, and from the middle away from zero."""
    scaled = abs(ratio) * 10**scale
    whole = scaled.numerator // scaled.denominator
    if scaled - whole >= Fraction(1, 2):
        whole += 1
    return Fraction(whole if ratio >= 0 else -whole, 10**scale)


@given(decimals_of(NOTIONAL), decimals_of(SIZE).filter(bool), st.integers(0, 20))
def test_ratios_are_rounded_once_half_away_from_zero(numerator: Decimal, denominator: Decimal, scale: int) -> None:
    found = round_ratio(numerator, denominator, scale)
    assert Fraction(found) == half_away(Fraction(numerator) / Fraction(denominator), scale)
    assert found.as_tuple().exponent == -scale


@given(st.integers(-(10**30), 10**30), st.integers(0, 15), decimals_of(SIZE).filter(bool))
def test_middles_go_away_from_zero(whole: int, scale: int, denominator: Decimal) -> None:
    middle = Fraction(2 * whole + 1, 2 * 10**scale)
    exact = middle * Fraction(denominator)
    places = 10 ** (scale + 1 + 18)
    numerator = Decimal((exact < 0, tuple(int(digit) for digit in str(abs(exact * places))), -(scale + 19)))
    found = Fraction(round_ratio(numerator, denominator, scale))
    assert abs(found) - abs(middle) == Fraction(1, 2 * 10**scale)


@given(st.lists(st.tuples(decimals_of(PRICE).map(abs), decimals_of(SIZE).map(abs).filter(bool)), min_size=1, max_size=5))
def test_vwap_is_the_rounded_ratio_of_exact_sums(trades: list[tuple[Decimal, Decimal]]) -> None:
    quote = sum((Fraction(price) * Fraction(size) for price, size in trades), Fraction(0))
    volume = sum((Fraction(size) for _, size in trades), Fraction(0))
    quote_volume = Decimal(f"{quote * 10**30}e-30")
    found = vwap(quote_volume, Decimal(f"{volume * 10**18}e-18"))
    assert found is not None
    assert Fraction(found) == half_away(quote / volume, 12)


def test_vwap_of_no_volume_is_none() -> None:
    assert vwap(Decimal(0), Decimal("0.000")) is None


@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_a_ratio_of_no_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        round_ratio(Decimal(number), Decimal(1), 12)
