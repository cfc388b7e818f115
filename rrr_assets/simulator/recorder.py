"""The recorder: one instrument through the days of a calm market, delivered as its venue's files, with what was injected.

Belongs here: from what happened (calm) over what was delivered (feeds) to files, and the record. Does not: choosing places (injections).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from rrr_assets.simulator import calm, injections
from rrr_assets.simulator.candles import INTERVALS, candles
from rrr_assets.simulator.feeds import Feed
from rrr_assets.simulator.files import WrittenFile, candles_path, trades_format, trades_path, write_candles, write_trades
from rrr_assets.simulator.injections import Injection, Placed
from rrr_assets.simulator.markets import Market, generator
from rrr_assets.simulator.recorded import FORMAT, recorded_path, write_feed
from rrr_assets.simulator.tape import MINUTES, Tape

_LATE: Final = "-late"
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a day: its files, its injections, and how many trades happened."""

    files: tuple[WrittenFile, ...]
    injections: tuple[Injection, ...]
    trades: int


class Recorder:
    """It remembers the last price and the next id."""

    def __init__(self, traded: Market, seed: int, *, has_quotes: bool) -> None:
        self.market = traded
        self._seed = seed
        self._has_quotes = has_quotes and traded.is_recorded
        self._last_ticks = traded.start_ticks
        self._next_id = traded.first_id

    def record(self, out: Path, day: date, trades: int, placed: Sequence[Placed]) -> Recorded:
        """Trade a day, deliver it, and write its files below `out`.

        Raises:
            ValueError: too little happens for an injection.
        """
        traded = self.market
        rng = generator(self._seed, traded.instrument, day.toordinal(), "calm")
        moments = calm.draw_moments(traded, day, trades=trades, open_ticks=self._last_ticks, rng=rng)
        last_ticks = int(moments.middle[-1])
        found: list[Injection] = []
        for each in placed:
            moments, injected = injections.happen(moments, each)
            if injected is not None:
                found.append(injected)
        tape = calm.tape_of(moments, traded, day, self._next_id)
        feeds = {"trades": self._trades(tape)}
        if self._has_quotes:
            feeds["quotes"] = self._quotes(calm.quotes_of(moments), day)
        found += [made for each in placed if (made := injections.deliver_wrongly(feeds, each, tape.first_id)) is not None]
        found += [injections.missing_candle(feeds["trades"], each) for each in placed if each.kind == "kline-missing"]
        is_missing = False
        for each in placed:
            if each.kind == "file-missing":
                is_missing = len(tape) > 0
                ids = ((tape.first_id, tape.first_id + len(tape) - 1),) if traded.has_ids else ()
                found.append(each.made(each.since_us, each.until_us, rows=len(tape), ids=ids))
        files = [*self._write(out, tape, feeds, is_missing=is_missing)]
        if traded.has_candles:
            files += self._write_candles(out, tape, [one for one in found if one.kind == "kline-missing"])
        self._last_ticks, self._next_id = last_ticks, self._next_id + len(tape)
        held = next((each.path.relative_to(out).as_posix() for each in files if each.is_held_back), None)
        told = tuple(replace(one, other_file=held) if one.kind == "late" else one for one in sorted(found, key=lambda one: one.number))
        return Recorded(tuple(files), told, len(tape))

    def _trades(self, tape: Tape) -> Feed:
        columns = {"ticks": tape.ticks, "lots": tape.lots, "is_buyer_maker": tape.is_buyer_maker.astype(np.int64)}
        return Feed(tape.time_us, columns, generator(self._seed, self.market.instrument, tape.day.toordinal(), "lag of trades"))

    def _quotes(self, quotes: calm.Quotes, day: date) -> Feed:
        columns = {name: getattr(quotes, name) for name in ("bid_ticks", "bid_lots", "ask_ticks", "ask_lots")}
        return Feed(quotes.time_us, columns, generator(self._seed, self.market.instrument, day.toordinal(), "lag of quotes"))

    def _write(self, out: Path, tape: Tape, feeds: dict[str, Feed], *, is_missing: bool) -> Iterator[WrittenFile]:
        for stream, feed in feeds.items():
            if not len(feed) or (stream == "trades" and is_missing):
                continue
            for (lines, received_us), suffix in ((feed.lines(), ""), (feed.held_lines(), _LATE)):
                if suffix and not len(lines.rows):
                    continue
                if self.market.is_recorded:
                    path = recorded_path(self.market, tape.day, stream, suffix)
                else:
                    path = trades_path(self.market, tape.day, suffix)
                path = f"late/{Path(path).name}" if suffix else path
                if self.market.is_recorded:
                    write_feed(out / path, self.market, stream, feed, tape.first_id, lines, received_us)
                else:
                    write_trades(out / path, tape, lines)
                form = FORMAT if self.market.is_recorded else trades_format(self.market)
                yield WrittenFile(out / path, form, self.market.instrument, tape.day, lines.count, is_held_back=bool(suffix))

    def _write_candles(self, out: Path, tape: Tape, without: Sequence[Injection]) -> Iterator[WrittenFile]:
        for interval, interval_us in INTERVALS.items():
            made = candles(tape, interval_us, self._last_ticks, np.ones(MINUTES, np.bool_))
            for one in without if interval == "1m" else ():
                made = made.without((one.since - injections.EPOCH) // _MICROSECOND)
            path = out / candles_path(self.market, tape.day, interval)
            write_candles(path, self.market, tape.day, made)
            yield WrittenFile(path, "binance-vision-klines", self.market.instrument, tape.day, len(made), interval)
