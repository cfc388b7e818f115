"""The exchange: days of trading in many instruments, written as files with a manifest beside them.

Belongs here: the loop over days and instruments, how trades are shared out, the record of what was written
and what is wrong with it on purpose. Does not: any one file's layout (files) or any one day's trades (tape).
One instrument's day is in memory at a time, whatever the number of trades.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from rrr_assets.simulator import defects as kinds_of_defects
from rrr_assets.simulator.calm import day_weight
from rrr_assets.simulator.candles import INTERVALS, candles
from rrr_assets.simulator.defects import KINDS, LEAST_TRADES, NO_OUTAGE, Defect, Delivery, Outage, id_ranges
from rrr_assets.simulator.files import (
    Lines,
    WrittenFile,
    candles_path,
    header_lines,
    trades_format,
    trades_path,
    write_candles,
    write_trades,
)
from rrr_assets.simulator.injections import Injection, Placed, checked_kinds, place_injections
from rrr_assets.simulator.markets import Market, generator, market
from rrr_assets.simulator.recorder import Recorder
from rrr_assets.simulator.tape import MINUTE_US, MINUTES, Integers, Tape, draw, midnight_us

MANIFEST_NAME: Final = "manifest.json"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_QUIETEST_MINUTES: Final = 240


@dataclass(frozen=True, slots=True)
class Simulation:
    """What was written below `out`, and what is wrong with it on purpose.

    `trades` counts, per instrument and day, the trades that happened, whichever file they are in, if in any.
    """

    out: Path
    files: tuple[WrittenFile, ...]
    trades: Mapping[str, Mapping[date, int]]
    defects: tuple[Defect, ...]
    injections: tuple[Injection, ...] = ()


def simulate(
    out: Path,
    days: Sequence[date],
    instruments: Sequence[str],
    trades: int,
    seed: int,
    *,
    defects: Sequence[str] = (),
    quotes: bool = False,
    seasonal: bool = False,
    injections: int = 0,
    injected_kinds: Sequence[str] | None = None,
    history: int = 0,
    on_file: Callable[[WrittenFile], None] | None = None,
) -> Simulation:
    """Trade, and write the venues' files with `manifest.json` beside them. The same arguments give the same bytes.

    With quotes, seasons or injections, and for coinbase and bybit always, the market is a calm one (`calm`).

    Args:
        out: Folder to write below; made where it is missing, files of the same name are replaced.
        days: UTC days; each once, they are traded in order, and ids run on from one to the next.
        instruments: `venue:SYMBOL`, the busiest first: activity falls by Zipf's law.
        trades: Trades in all. An instrument's day without any has no file of trades, and empty candles.
        seed: Not negative. Decides everything that is left to chance.
        defects: Kinds from `KINDS`, each put into one instrument a day. For a market that is not calm.
        quotes: coinbase and bybit have quotes too.
        seasonal: Weekends are quieter and activity is shared out evenly; what is injected are anomalies that only history tells.
        injections: How many to inject, each with its truth in the manifest.
        injected_kinds: Kinds from `INJECTED`; None for all, but for those that need history, or with `seasonal` for these alone.
        history: Days, from the first on, into which nothing is injected.
        on_file: Called with each file once it is complete.

    Raises:
        ValueError: no day or no instrument or a duplicate of one, a negative number, an unknown venue or defect, or
            a defect or injection that no instrument can carry, or too many of them.
    """
    for name, given in (("day", days), ("instrument", instruments)):
        if not given or len(set(given)) < len(given):
            raise ValueError(f"name at least one {name}, and each once")
    if trades < 0 or seed < 0:
        raise ValueError(f"trades and seed may not be negative: {trades}, {seed}")
    ordered = sorted(days)
    kinds = kinds_of_defects.checked(defects)
    markets = [market(instrument, seed) for instrument in instruments]
    if quotes or seasonal or injections or any(each.is_recorded for each in markets):
        if kinds:
            raise ValueError("defects of a day are for other venues than coinbase and bybit, and injections go without them")
        chosen = checked_kinds(injected_kinds, is_seasonal=seasonal)
        placed_calmly = place_injections(chosen, injections, ordered[history:], markets, seed, has_quotes=quotes)
        simulation = _simulate_calmly(out, ordered, markets, trades, seed, placed_calmly, has_quotes=quotes, on_file=on_file)
        _write_manifest(simulation, trades, seed)
        return simulation
    shared = _share_out(trades, ordered, instruments, seed)
    placed = {day: kinds_of_defects.place(kinds, day, [(each, shared[each.instrument][day]) for each in markets], seed) for day in ordered}
    _refuse_unplaced(kinds, placed)

    books = [_Book(each, rank, seed) for rank, each in enumerate(markets)]
    files: list[WrittenFile] = []
    found: list[Defect] = []
    for day in ordered:
        for book in books:
            instrument = book.market.instrument
            for written in book.trade_day(out, day, shared[instrument][day], placed[day][instrument], found):
                files.append(written)
                if on_file is not None:
                    on_file(written)
    simulation = Simulation(out, tuple(files), shared, tuple(found))
    _write_manifest(simulation, trades, seed)
    return simulation


def _simulate_calmly(
    out: Path,
    days: Sequence[date],
    markets: Sequence[Market],
    trades: int,
    seed: int,
    placed: Sequence[Placed],
    *,
    has_quotes: bool,
    on_file: Callable[[WrittenFile], None] | None,
) -> Simulation:
    shared = _share_out_calmly(trades, days, [each.instrument for each in markets], seed)
    recorders = [Recorder(each, seed, has_quotes=has_quotes) for each in markets]
    by_place: dict[tuple[str, date], list[Placed]] = {}
    for one in placed:
        by_place.setdefault((one.instrument, one.day), []).append(one)
    files: list[WrittenFile] = []
    found: list[Injection] = []
    for day in days:
        for recorder in recorders:
            instrument = recorder.market.instrument
            done = recorder.record(out, day, shared[instrument][day], by_place.get((instrument, day), []))
            shared[instrument][day] = done.trades
            files.extend(done.files)
            found.extend(done.injections)
            if on_file is not None:
                for written in done.files:
                    on_file(written)
    return Simulation(out, tuple(files), shared, (), tuple(sorted(found, key=lambda one: one.number)))


class _Book:
    """One instrument through the days: it remembers the last price and the next id."""

    def __init__(self, traded: Market, rank: int, seed: int) -> None:
        self.market = traded
        self._seed = seed
        self._quiet_minutes = min(20 * rank, _QUIETEST_MINUTES)
        self._last_ticks = traded.start_ticks
        self._next_id = traded.first_id

    def trade_day(self, out: Path, day: date, trades: int, kinds: set[str], found: list[Defect]) -> Iterator[WrittenFile]:
        """Trade a day, write its files, and add its defects to `found`."""
        rng = generator(self._seed, self.market.instrument, day.toordinal())
        outage = kinds_of_defects.draw_outage(rng) if "outage" in kinds else NO_OUTAGE
        tape = draw(
            self.market,
            day,
            trades=trades,
            first_id=self._next_id,
            open_ticks=self._last_ticks,
            quiet_minutes=self._quiet_minutes,
            closed=outage.closed,
            rng=rng,
        )
        delivery = kinds_of_defects.deliver(tape, kinds, self._seed)
        without_candle = kinds_of_defects.draw_missing_candle(tape, delivery, rng) if "kline-missing" in kinds else None
        found.extend(_records(tape, kinds, delivery, outage, without_candle))
        if trades:
            yield from self._write_trades(out, tape, delivery)
        if self.market.has_candles:
            yield from self._write_candles(out, tape, outage, without_candle)
        if trades:
            self._last_ticks = int(tape.ticks[-1])
        self._next_id += trades

    def _write_trades(self, out: Path, tape: Tape, delivery: Delivery) -> Iterator[WrittenFile]:
        path = trades_path(self.market, tape.day)
        yield self._write_lines(out, path, tape, delivery.lines, is_held_back=False)
        for rows, other in ((delivery.late, _late_path(tape)), (delivery.copied, _copy_path(tape))):
            if len(rows):
                yield self._write_lines(out, other, tape, Lines(rows, np.zeros(len(rows), np.bool_)), is_held_back=True)

    def _write_lines(self, out: Path, path: str, tape: Tape, lines: Lines, *, is_held_back: bool) -> WrittenFile:
        write_trades(out / path, tape, lines)
        return WrittenFile(out / path, trades_format(self.market), self.market.instrument, tape.day, lines.count, is_held_back=is_held_back)

    def _write_candles(self, out: Path, tape: Tape, outage: Outage, without_candle: int | None) -> Iterator[WrittenFile]:
        listed = np.ones(MINUTES, np.bool_)
        listed[outage.absent.start : outage.absent.stop] = False
        for interval, interval_us in INTERVALS.items():
            made = candles(tape, interval_us, self._last_ticks, listed)
            if interval == "1m" and without_candle is not None:
                made = made.without(midnight_us(tape.day) + without_candle * MINUTE_US)
            path = out / candles_path(self.market, tape.day, interval)
            write_candles(path, self.market, tape.day, made)
            yield WrittenFile(path, "binance-vision-klines", self.market.instrument, tape.day, len(made), interval)


def _share_out(trades: int, days: Sequence[date], instruments: Sequence[str], seed: int) -> dict[str, dict[date, int]]:
    """Exactly `trades` over instruments and days: one each where they suffice, the rest by Zipf's law and chance."""
    cells = [(instrument, day) for instrument in instruments for day in days]
    chance = generator(seed, "activity").integers(70, 131, len(cells)).tolist()
    weights = [1_000_000 // (place // len(days) + 1) * chance[place] for place in range(len(cells))]
    floor = 1 if trades >= len(cells) else 0
    rest = trades - floor * len(cells)
    bounds = [rest * reached // sum(weights) for reached in accumulate(weights, initial=0)]
    shared: dict[str, dict[date, int]] = {instrument: {} for instrument in instruments}
    for (instrument, day), (low, high) in zip(cells, pairwise(bounds), strict=True):
        shared[instrument][day] = floor + high - low
    return shared


def _share_out_calmly(trades: int, days: Sequence[date], instruments: Sequence[str], seed: int) -> dict[str, dict[date, int]]:
    """Exactly `trades`, the first instrument with twice as many as the last, weekends with fewer."""
    chance = generator(seed, "calm activity").uniform(0.93, 1.07, (len(instruments), len(days)))
    rank = np.linspace(4, 2, len(instruments)) if len(instruments) > 1 else np.ones(1)
    weights = chance * rank[:, None] * np.array([day_weight(day) for day in days])
    bounds = np.concatenate([[0], np.rint(np.cumsum(weights) / weights.sum() * trades)]).astype(np.int64)
    counts = np.diff(bounds).reshape(weights.shape).tolist()
    return {instrument: dict(zip(days, row, strict=True)) for instrument, row in zip(instruments, counts, strict=True)}


def _refuse_unplaced(kinds: Sequence[str], placed: Mapping[date, Mapping[str, set[str]]]) -> None:
    carried = {kind for day in placed.values() for carried_kinds in day.values() for kind in carried_kinds}
    homeless = [kind for kind in kinds if kind not in carried]
    if homeless:
        raise ValueError(
            f"no instrument can carry {', '.join(homeless)}: name a binance instrument, and trades enough for {LEAST_TRADES} of it a day"
        )


def _records(tape: Tape, kinds: set[str], delivery: Delivery, outage: Outage, without_candle: int | None) -> Iterator[Defect]:
    traded = tape.market
    file = trades_path(traded, tape.day)
    candle_file = candles_path(traded, tape.day, "1m") if traded.has_candles else file
    rows, garbage = delivery.lines.numbers(header_lines(traded))
    minutes = np.zeros(0, np.int64) if without_candle is None else np.array([without_candle])
    details: dict[str, dict[str, Any]] = {
        "gap": {"ids": _ids(tape, delivery.missing), **_span(tape, delivery.missing)},
        "duplicate": {"lines": tuple(rows[delivery.lines.is_repeat].tolist())},
        "bad-rows": {"lines": tuple(garbage.tolist()), "reasons": tuple(damage for _, damage in delivery.lines.garbage)},
        "late": {"ids": _ids(tape, delivery.late), "other_file": _late_path(tape), **_span(tape, delivery.late)},
        "shuffled": {},
        "kline-missing": {"file": candle_file, **_minutes(tape.day, minutes)},
        "outage": {
            "file": candle_file,
            **_minutes(tape.day, np.array(outage.closed, np.int64)),
            "absent_since": _minutes(tape.day, np.array(outage.absent, np.int64)).get("since"),
        },
        "renamed": {"other_file": _copy_path(tape), **_span(tape, delivery.copied)},
    }
    for kind in KINDS:
        if kind in kinds:
            given: dict[str, Any] = {
                "kind": kind,
                "instrument": traded.instrument,
                "day": tape.day,
                "file": file,
                "expected": KINDS[kind].expected,
            }
            yield Defect(**(given | details[kind]))


def _late_path(tape: Tape) -> str:
    return f"late/{Path(trades_path(tape.market, tape.day, '-late')).name}"


def _copy_path(tape: Tape) -> str:
    return f"renamed/{Path(trades_path(tape.market, tape.day, '-copy')).name}"


def _ids(tape: Tape, rows: Integers) -> tuple[tuple[int, int], ...]:
    return id_ranges(rows + tape.first_id)


def _span(tape: Tape, rows: Integers) -> dict[str, datetime]:
    """From the first of these trades to a microsecond after the last."""
    if not len(rows):
        return {}
    times = tape.time_us[rows]
    return {"since": _utc(int(times.min())), "until": _utc(int(times.max()) + 1)}


def _minutes(day: date, minutes: Integers) -> dict[str, datetime]:
    if not len(minutes):
        return {}
    start = midnight_us(day)
    return {"since": _utc(start + int(minutes[0]) * MINUTE_US), "until": _utc(start + (int(minutes[-1]) + 1) * MINUTE_US)}


def _utc(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _write_manifest(simulation: Simulation, trades: int, seed: int) -> None:
    """Paths below the folder and ISO times, so that the manifest too is the same bytes wherever it lies."""
    content = {
        "seed": seed,
        "trades": trades,
        "instruments": {name: {str(day): number for day, number in days.items()} for name, days in simulation.trades.items()},
        "files": [asdict(each) | {"path": each.path.relative_to(simulation.out).as_posix()} for each in simulation.files],
        "defects": [asdict(each) for each in simulation.defects],
    }
    if simulation.injections:
        content["injections"] = [asdict(each) for each in simulation.injections]
    simulation.out.mkdir(parents=True, exist_ok=True)
    (simulation.out / MANIFEST_NAME).write_text(json.dumps(content, indent=1, default=_iso) + "\n", encoding="ascii")


def _iso(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"no place in a manifest: {value!r}")
