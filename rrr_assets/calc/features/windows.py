"""Windows over the last minutes of an expression, whose value is a function of exactly the values in the window, to the last bit.

Belongs here: sums, weighted sums and moments over windows. Does not: any feature.

A rolling sum that adds what enters and takes off what leaves depends on where it began: two paths that start at different minutes
would not agree in the last digits, and one late trade would change everything after it. Here a window is put together from windows of
half its length, each a value and the same value some minutes before: s2 = s + s before 1, s4 = s2 + s2 before 2, and so on. That takes
log2(n) steps of whole columns, adds in pairs (so that rounding grows with log n, Higham, SIAM J. Sci. Comput. 14 (4), 1993), and the
order of the additions depends on nothing but the length. Elementary operations of IEEE 754 give the same bits on every machine.

All are null where a value in the window is null. "Before" is rows before: see compute.py for why no group is needed.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Array = npt.NDArray[np.float64]


_STRETCH: Final = 32768
"""Rows that are worked on at a time."""


def window_sum(values: "pl.Expr", n: int) -> "pl.Expr":
    """The sum of the last n values."""
    return geometric_sum(values, n, 1)


def window_mean(values: "pl.Expr", n: int) -> "pl.Expr":
    """The mean of the last n values."""
    return _over_columns(lambda column: _geometric(column, n, 1) / n, n, values)


def geometric_sum(values: "pl.Expr", n: int, ratio: "float | int") -> "pl.Expr":
    """The sum of the last n values, the k-th before the last times ratio^k."""
    return _over_columns(lambda column: _geometric(column, n, ratio), n, values)


def exponential_mean(values: "pl.Expr", n: int, alpha: float) -> "pl.Expr":
    """The exponential mean of the last n values, begun with the first of them: e = alpha * x + (1 - alpha) * e before, e of the first = x.

    Written out: alpha * (sum over all but the first of (1 - alpha)^k * x_k) + (1 - alpha)^(n - 1) * the first.
    """
    if n == 1:
        return values
    rest = 1 - alpha

    def mean(column: "Array") -> "Array":
        return _added(_geometric(column[1:], n - 1, rest) * alpha, column[: 1 - n], rest ** (n - 1))

    return _over_columns(mean, n, values)


def wilder_mean(values: "pl.Expr", n: int, period: int) -> "pl.Expr":
    """Wilder's mean of the last n values, begun with the plain mean of the first `period`: w = (w before * (period - 1) + x) / period.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    if n == period:
        return window_mean(values, period)
    rest = 1 - 1 / period

    def mean(column: "Array") -> "Array":
        begun = _geometric(column[: len(column) - n + period], period, 1) / period
        return _added(_geometric(column[period:], n - period, rest) / period, begun, rest ** (n - period))

    return _over_columns(mean, n, values)


def window_moment(left: "pl.Expr", right: "pl.Expr", n: int) -> "pl.Expr":
    """The sum over the last n values of (left - its mean) * (right - its mean); of one expression twice, its sum of squared deviations.

    Two halves are put together as Chan, Golub and LeVeque do (Updating Formulae and a Pairwise Algorithm, 1979): nothing large is
    subtracted from something as large, and of equal values it is exactly 0.
    """
    return _over_columns(lambda *columns: _moment(columns[0], columns[-1], n), n, *([left] if left is right else [left, right]))


def window_deviation(values: "pl.Expr", n: int, by: int) -> "pl.Expr":
    """The standard deviation of the last n values: the root of the sum of their squared deviations, divided by n or n - 1."""
    import numpy as np

    return _over_columns(lambda column: np.sqrt(_moment(column, column, n) / by), n, values)


def divided(values: "pl.Expr", number: float) -> "pl.Expr":
    """Values divided by a number. Polars' own division by one number does not round alike in a long column and in a short one."""
    return _over_columns(lambda column: column / number, 1, values)


def ratio(numerator: "pl.Expr", denominator: "pl.Expr") -> "pl.Expr":
    """The quotient; null where the denominator is 0: no infinity comes out of a feature."""
    import polars as pl

    return pl.when(denominator != 0).then(numerator / denominator)


def larger(one: "pl.Expr", other: "pl.Expr") -> "pl.Expr":
    """The larger of both; null where one is null."""
    import polars as pl

    return pl.when(one >= other).then(one).when(one < other).then(other)


def _over_columns(function: "Callable[..., Array]", n: int, *columns: "pl.Expr") -> "pl.Expr":
    """A function of columns, as an expression: of m + n - 1 rows in a row it makes the values of the last m. Null is NaN in it.

    As one tree of expressions a window would have n leaves. It is taken a stretch of rows at a time: what is worked on stays in the
    processor's cache.
    """
    import numpy as np
    import polars as pl
    import pyarrow as pa

    def applied(given: "Sequence[pl.Series]") -> "pl.Series":
        arrays = [each.to_numpy() for each in given]
        # Arrow's pool keeps its pages; what the system gives is cleared page by page, which takes as long as the window.
        made = np.frombuffer(pa.allocate_buffer(arrays[0].nbytes), np.float64)
        made[: n - 1] = np.nan
        for start in range(n - 1, len(made), _STRETCH):
            end = start + _STRETCH
            made[start:end] = function(*(each[start - n + 1 : end] for each in arrays))
        return pl.Series(made, nan_to_null=True)

    # Filled by Polars: where it is done here, on one column after the other, it takes as long as the windows themselves.
    filled = [each.cast(pl.Float64).fill_null(float("nan")) for each in columns]
    return pl.map_batches(filled, applied, return_dtype=pl.Float64)


def _geometric(column: "Array", n: int, ratio: "float | int") -> "Array":
    total, taken, part, length = column, 0, column, 1
    while True:
        if n & length:
            total = _added(total, part[: len(part) - taken], ratio**taken) if taken else part
            taken += length
        if taken == n:
            return total
        part = _added(part, part[:-length], ratio**length)
        length *= 2


def _moment(left: "Array", right: "Array", n: int) -> "Array":
    # Means of both and their moment, of the `taken` last values and of `length` of them.
    part, length = (left, right, left * 0 * right), 1
    total, taken = part, 0
    while True:
        if n & length:
            total = _put_together(total, taken, part, length) if taken else part
            taken += length
        if taken == n:
            return total[2]
        part = _put_together(part, length, part, length)
        length *= 2


def _added(column: "Array", before: "Array", factor: "float | int") -> "Array":
    """The last values of a column, and those before them times a factor."""
    later = column[len(column) - len(before) :]
    if factor == 1:
        return before + later
    made = before * factor
    made += later
    return made


def _put_together(one: "Sequence[Array]", n_one: int, other: "Sequence[Array]", n_other: int) -> "tuple[Array, Array, Array]":
    """Means and moment of the last `n_one` rows, and of the `n_other` before these."""
    rows, share = len(other[0]) - n_one, n_other / (n_one + n_other)
    first = len(one[0]) - rows
    by_left = other[0][:rows] - one[0][first:]
    is_one = one[0] is one[1]
    by_right = by_left if is_one else other[1][:rows] - one[1][first:]
    moment = by_left * by_right
    moment *= n_one * share
    made = one[2][first:] + other[2][:rows]
    made += moment
    # Means, not sums: of equal values the difference is 0, and the mean stays what it is.
    by_left *= share
    by_left += one[0][first:]
    if is_one:
        return by_left, by_left, made
    by_right *= share
    by_right += one[1][first:]
    return by_left, by_right, made
