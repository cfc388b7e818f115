"""A feed: the rows of one stream and day as a recorder got them, line by line, and what can go wrong on the way.

Belongs here: dropping, repeating, holding back, delaying, freezing rows; the receive time. Does not: what happened (calm), which rows are
chosen (injections), files (recorded). Every operation takes positions of rows as they happened, so that one shifts no other.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from rrr_assets.simulator.files import DAMAGES, Lines
from rrr_assets.simulator.tape import Integers

_LEAST_LAG_US: Final = 20_000
_USUAL_JITTER_US: Final = 18_000
_LONGEST_LAG_US: Final = 900_000


class Feed:
    """Rows with their values, and the lines in which they were delivered.

    `time_us` and each of `columns` have one value a row; `line_rows`, `received_us` and `is_repeat` one a line. Lines are ordered by
    when they truly arrived, whatever the clock said that stamped them.
    """

    def __init__(self, time_us: Integers, columns: Mapping[str, Integers], rng: np.random.Generator) -> None:
        number = len(time_us)
        self.time_us = time_us.copy()
        self.columns = {name: values.copy() for name, values in columns.items()}
        jitter = rng.lognormal(math.log(_USUAL_JITTER_US), 0.6, number).astype(np.int64)
        arrived = time_us + np.minimum(_LEAST_LAG_US + jitter, _LONGEST_LAG_US)
        # One connection delivers in order: a slow message holds up those behind it.
        self._arrived_us: Integers = np.maximum.accumulate(arrived) if number else arrived
        self.received_us = self._arrived_us.copy()
        self.line_rows: Integers = np.arange(number)
        self.is_repeat = np.zeros(number, np.bool_)
        self._garbage: dict[int, str] = {}
        self._held: list[Integers] = []

    def __len__(self) -> int:
        return len(self.time_us)

    def between(self, since_us: int, until_us: int) -> Integers:
        """Positions of the rows of [since, until)."""
        return np.flatnonzero((self.time_us >= since_us) & (self.time_us < until_us))

    def drop(self, rows: Integers) -> None:
        """They are in no line."""
        self._keep(~np.isin(self.line_rows, rows))

    def hold_back(self, rows: Integers) -> None:
        """They are in no line, and come in another file."""
        self.drop(rows)
        self._held.append(rows)

    def repeat(self, rows: Integers) -> None:
        """They come once more, right after the last of them."""
        place = np.flatnonzero(np.isin(self.line_rows, rows))
        at = np.repeat(self._arrived_us[place].max(), len(place))
        self.line_rows = np.concatenate([self.line_rows, self.line_rows[place]])
        self.received_us = np.concatenate([self.received_us, np.repeat(self.received_us[place].max(), len(place))])
        self._arrived_us = np.concatenate([self._arrived_us, at])
        self.is_repeat = np.concatenate([self.is_repeat, np.ones(len(place), np.bool_)])

    def delay(self, rows: Integers, by_us: int) -> None:
        """They arrive later, and their receive time says so."""
        place = np.isin(self.line_rows, rows)
        self._arrived_us[place] += by_us
        self.received_us[place] += by_us

    def skew(self, rows: Integers, by_us: int) -> None:
        """The clock that stamps what is received is wrong for them; they come when they come."""
        self.received_us[np.isin(self.line_rows, rows)] += by_us

    def freeze(self, rows: Integers) -> None:
        """They say all the same: what the first of them says."""
        for values in self.columns.values():
            values[rows] = values[rows[0]]

    def set_back(self, rows: Integers, by_us: int) -> None:
        """The venue's clock says an earlier time for them: it steps back before the first and forward after the last."""
        self.time_us[rows] -= by_us

    def litter(self, rows: Integers) -> None:
        """A garbage line stands below each of them: a damaged copy. Every damage occurs among three."""
        self._garbage |= {int(row): DAMAGES[number % len(DAMAGES)] for number, row in enumerate(rows)}

    @property
    def held(self) -> Integers:
        """Rows of the other file."""
        return np.sort(np.concatenate([np.zeros(0, np.int64), *self._held]))

    def lines(self) -> tuple[Lines, Integers]:
        """The lines in order of arrival, and the receive time of each that is not garbage."""
        order = np.argsort(self._arrived_us, kind="stable")
        rows, is_repeat = self.line_rows[order], self.is_repeat[order]
        # Never below the last line, where it would look like a file that is cut off.
        garbage = tuple(
            (position + 1, self._garbage[int(row)])
            for position, row in enumerate(rows[:-1])
            if int(row) in self._garbage and not is_repeat[position]
        )
        return Lines(rows, is_repeat, garbage), self.received_us[order]

    def held_lines(self) -> tuple[Lines, Integers]:
        """Those of the other file, with the receive times that they would have had."""
        rows = self.held
        received = np.maximum.accumulate(self.time_us[rows] + _LEAST_LAG_US) if len(rows) else rows
        return Lines(rows, np.zeros(len(rows), np.bool_)), received

    def _keep(self, kept: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> None:
        self.line_rows, self._arrived_us = self.line_rows[kept], self._arrived_us[kept]
        self.received_us, self.is_repeat = self.received_us[kept], self.is_repeat[kept]
