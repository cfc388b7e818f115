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
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Array = npt.NDArray[np.float64]


def window_sum(values: "pl.Expr", n: int) -> "pl.Expr":
    """The sum of the last n values."""
    return geometric_sum(values, n, 1)


def window_mean(values: "pl.Expr", n: int) -> "pl.Expr":
    """The mean of the last n values."""
    return divided(window_sum(values, n), n)


def geometric_sum(values: "pl.Expr", n: int, ratio: "float | int") -> "pl.Expr":
    """The sum of the last n values, the k-th before the last times ratio^k."""

    def summed(column: "Array") -> "Array":
        total, taken, part, length = column, 0, column, 1
        while True:
            if n & length:
                total = _added(total, part, taken, ratio**taken) if taken else part
                taken += length
            if taken == n:
                return total
            part = _added(part, part, length, ratio**length)
            length *= 2

    return _over_columns(summed, values)


def exponential_mean(values: "pl.Expr", n: int, alpha: float) -> "pl.Expr":
    """The exponential mean of the last n values, begun with the first of them: e = alpha * x + (1 - alpha) * e before, e of the first = x.

    Written out: alpha * (sum over all but the first of (1 - alpha)^k * x_k) + (1 - alpha)^(n - 1) * the first.
    """
    if n == 1:
        return values
    rest = 1 - alpha
    return geometric_sum(values, n - 1, rest) * alpha + values.shift(n - 1) * rest ** (n - 1)


def wilder_mean(values: "pl.Expr", n: int, period: int) -> "pl.Expr":
    """Wilder's mean of the last n values, begun with the plain mean of the first `period`: w = (w before * (period - 1) + x) / period.

    Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978.
    """
    begun = window_mean(values, period).shift(n - period)
    if n == period:
        return begun
    rest = 1 - 1 / period
    return divided(geometric_sum(values, n - period, rest), period) + begun * rest ** (n - period)


def window_moment(left: "pl.Expr", right: "pl.Expr", n: int) -> "pl.Expr":
    """The sum over the last n values of (left - its mean) * (right - its mean); of one expression twice, its sum of squared deviations.

    Two halves are put together as Chan, Golub and LeVeque do (Updating Formulae and a Pairwise Algorithm, 1979): nothing large is
    subtracted from something as large, and of equal values it is exactly 0.
    """

    def moment(*columns: "Array") -> "Array":
        # Means of both and their moment, of the `taken` last values and of `length` of them.
        part, length = (columns[0], columns[1], columns[0] * 0 * columns[1]), 1
        total, taken = part, 0
        while True:
            if n & length:
                total = _put_together(total, taken, part, length) if taken else part
                taken += length
            if taken == n:
                return total[2]
            part = _put_together(part, length, part, length)
            length *= 2

    return _over_columns(moment, left, right)


def divided(values: "pl.Expr", number: float) -> "pl.Expr":
    """Values divided by a number. Polars' own division by one number does not round alike in a long column and in a short one."""
    return _over_columns(lambda column: column / number, values)


def ratio(numerator: "pl.Expr", denominator: "pl.Expr") -> "pl.Expr":
    """The quotient; null where the denominator is 0: no infinity comes out of a feature."""
    import polars as pl

    return pl.when(denominator != 0).then(numerator / denominator)


def larger(one: "pl.Expr", other: "pl.Expr") -> "pl.Expr":
    """The larger of both; null where one is null."""
    import polars as pl

    return pl.when(one >= other).then(one).when(one < other).then(other)


def _over_columns(function: "Callable[..., Array]", *columns: "pl.Expr") -> "pl.Expr":
    """A function of whole columns as an expression; null is NaN in it. As one tree of expressions a window would have n leaves."""
    import polars as pl

    def applied(given: "Sequence[pl.Series]") -> "pl.Series":
        return pl.Series(function(*(each.cast(pl.Float64).to_numpy() for each in given)), dtype=pl.Float64).fill_nan(None)

    return pl.map_batches(list(columns), applied, return_dtype=pl.Float64)


def _before(column: "Array", rows: int) -> "Array":
    """Each value's value some rows before; NaN where there is none."""
    import numpy as np

    shifted = np.full_like(column, np.nan)
    if rows < len(column):
        shifted[rows:] = column[: len(column) - rows]
    return shifted


def _added(column: "Array", other: "Array", rows: int, factor: "float | int") -> "Array":
    before = _before(other, rows)
    if factor != 1:
        before *= factor
    before += column
    return before


def _put_together(one: "Sequence[Array]", n_one: int, other: "Sequence[Array]", n_other: int) -> "tuple[Array, Array, Array]":
    """Means and moment of the last `n_one` rows, and of the `n_other` before these."""
    left, right, moment = (_before(each, n_one) for each in other)
    share = n_other / (n_one + n_other)
    by_left, by_right = left - one[0], right - one[1]
    # Means, not sums: of equal values the difference is 0, and the mean stays what it is.
    return one[0] + by_left * share, one[1] + by_right * share, one[2] + moment + by_left * by_right * (n_one * share)
