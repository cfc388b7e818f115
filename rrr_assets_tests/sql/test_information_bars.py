"""Bars by what was traded: in SQL they are the plain definition to the digit, and they are kept in step with trades and rules."""

import json
import os
import random
import threading
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from rrr_assets.calc.coverage import Interval, holds, union
from rrr_assets.calc.information_bars import InformationBar, Rule, information_bars
from rrr_assets.calc.numbers import plain
from rrr_assets.calc.order import Bar, Trade
from rrr_assets.calc.outcomes import PermanentFailure, RawTradesGone
from rrr_assets.contracts.information_bars import KINDS
from rrr_assets.warehouse.books import from_us, to_us
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets.warehouse.information_bars import RulesChanged, check_day, refresh_information_bars, rules_in_force, set_rules
from rrr_assets.warehouse.refresh import days_behind
from rrr_assets_tests.platform import Platform, fresh_database
from rrr_assets_tests.warm import killed_at

DAY = date(2024, 3, 5)
NEXT = date(2024, 3, 6)
MIDNIGHT = datetime(2024, 3, 5, tzinfo=UTC)
START_US = to_us(MIDNIGHT)
DAY_US = 86_400_000_000
DAY_MS = 86_400_000
INSTRUMENT = "binance-usdm:BTCUSDT"
TICKS = ["raw_trades", "raw_agg_trades"]
NOT_COUNTED = {"insurance_fund", "adl"}
ONE = Decimal(1)
Key = tuple[str, str, str, int]

# Each example is several transactions: fewer of them than of a pure property.
on_a_server = settings(
    settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "default")),
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


# --- the definition ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Print:
    """A trade as it is stored: time in microseconds of the day."""

    at: int
    sequence: int
    price: Decimal
    size: Decimal
    side: str | None = None
    conditions: tuple[str, ...] | None = None
    trades_in: int = 1

    @property
    def counts(self) -> bool:
        return not NOT_COUNTED & set(self.conditions or ())

    @property
    def trade(self) -> Trade:
        return Trade(from_us(START_US + self.at), self.sequence, self.price, self.size, self.side)


def decimals(scale: int, digits: int) -> st.SearchStrategy[Decimal]:
    """Positive decimals: usual ones, dwarfs and giants."""
    most = 10 ** (scale + digits) - 1
    return st.one_of(st.integers(1, 9).map(lambda n: Decimal(n) / 2), st.integers(1, most).map(lambda n: Decimal(f"{n}e-{scale}")))


# Few moments, so that many trades share one, and the day's two ends.
moments = st.one_of(st.sampled_from([0, 1, 2, DAY_US - 1]), st.integers(0, 5).map(lambda n: n * 3_600_000_000), st.integers(0, DAY_US - 1))
conditions = st.none() | st.lists(st.sampled_from(["auction", "insurance_fund", "adl", "x,y"]), max_size=2).map(tuple)
wide = st.tuples(decimals(12, 26), decimals(18, 20))
usual = st.tuples(st.integers(1, 500).map(lambda n: Decimal(n) / 100), st.integers(1, 500).map(lambda n: Decimal(n) / 1000))
numbers = st.one_of(st.integers(1, 3), st.integers(1, 50))
sides = st.sampled_from(["buy", "sell", None])


@st.composite
def tapes(draw: st.DrawFn) -> list[Print]:
    sequences = draw(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 60), max_size=30, unique=True))
    return [
        Print(draw(moments), n, *draw(draw(st.sampled_from([usual, wide]))), draw(sides), draw(conditions), draw(numbers))
        for n in sequences
    ]


# Small against usual trades, so that one of them spans several; not so small that a giant has more multiples than numbers.
thresholds = st.one_of(st.integers(1, 60).map(lambda n: Decimal(n) / 20), st.integers(1, 10**13).map(lambda n: Decimal(f"{n}e30")))
whole = st.integers(1, 8).map(Decimal)
rule_sets = st.fixed_dictionaries({
    "tick": st.lists(whole, max_size=2, unique=True),
    "volume": st.lists(thresholds, max_size=2, unique=True),
    "dollar": st.lists(thresholds, max_size=2, unique=True),
})  # fmt: skip
intervals = st.lists(st.tuples(moments, moments).map(sorted), max_size=3).map(
    lambda pairs: union([(start, DAY_US if end == DAY_US - 1 else end) for start, end in pairs])
)


def numbered(tape: Sequence[Print], rule: Rule, trades_in: dict[int, int] | None = None) -> list[InformationBar] | None:
    """The bars of the trades that count; None where there are more multiples than numbers."""
    bars = information_bars([row.trade for row in tape if row.counts], rule, trades_in)
    return bars if all(bar.bar_index < 2**63 for bar in bars) else None


@pytest.fixture(scope="module")
def prepared(database: Database) -> Database:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("select ensure_day_partition(t, d) from unnest(%s::text[]) as t, unnest(%s::date[]) as d", (TICKS, [DAY, NEXT]))
        connection.execute("insert into trade_conditions (venue, condition, counts, source) values ('binance-usdm', 'auction', true, '')")
    return database


def store(
    database: Database,
    prints: Sequence[Print],
    rules: Sequence[Rule] = (),
    covered: Sequence[Interval] = (),
    accepted: Sequence[Interval] = (),
    stream: str = "trades",
) -> None:
    """Replace all that is held by these trades, or aggregated trades, and rules; with decoys beside them that belong to no bar of ours."""
    columns = ["instrument", "space", "sequence", "event_time", "time_source", "price", "size", "side", "conditions", "available_at"]
    columns += ["available_basis", "known_at", "batch_id", *(("first_trade_id", "last_trade_id") if stream == "agg_trades" else ())]
    own_space = {"trades": "trade_id", "agg_trades": "aggregate_id"}[stream]
    with database.connect(Role.OWNER, autocommit=True) as connection, connection.transaction():
        connection.execute("truncate raw_trades, raw_agg_trades, coverage, invalidation_log, invalidation_days, invalidations_applied")
        connection.execute("truncate bars_tick, bars_volume, bars_dollar, bar_rules, instruments")
        connection.execute(
            "insert into instruments (instrument, valid_from, venue, symbol, contract_type, price_scale, size_scale, bars_stream) "
            "values (%s, now(), 'binance-usdm', 'BTCUSDT', 'linear', 12, 18, %s)",
            (INSTRUMENT, stream),
        )
        with connection.cursor().copy(f"copy raw_{stream} ({', '.join(columns)}) from stdin") as copy:
            seven = Decimal(7)
            decoys = [(INSTRUMENT, "ordinal", Print(1, 1, seven, seven)), ("gemini:X1", "trade_id", Print(1, 2, seven, seven))]
            decoys += [(INSTRUMENT, own_space, Print(DAY_US, 2**62, seven, seven))]
            for instrument, space, row in [*((INSTRUMENT, own_space, row) for row in prints), *decoys]:
                at = from_us(START_US + row.at)
                kept = None if row.conditions is None else list(row.conditions)
                values = (instrument, space, row.sequence, at, "venue", row.price, row.size, row.side, kept)
                # Ids that no bigint holds are none: only how many there are counts.
                ids = (1, row.trades_in) if stream == "agg_trades" else ()
                copy.write_row((*values, at, "modelled", at, 1, *ids))
        connection.execute(
            "insert into coverage (instrument, stream, day, space, row_count, covered, accepted, updated_at) "
            "values (%s, %s, %s, %s, %s, %s, %s, now())",
            (INSTRUMENT, stream, DAY, own_space, len(prints), _ranges(covered), _ranges(accepted)),
        )
    set_rules(database, INSTRUMENT, list(KINDS), rules)


def _ranges(found: Sequence[Interval]) -> Multirange:
    return Multirange([Range(from_us(START_US + a), from_us(START_US + b)) for a, b in found])


def refresh(database: Database, days: Sequence[date] = (DAY,), *, whole_days: bool = True) -> int:
    """Refresh every kind; how many bars changed."""
    return sum(done.changed for kind in KINDS for done in refresh_information_bars(database, kind, days, whole_days=whole_days))


def stored(database: Database, rule: Rule) -> tuple[list[InformationBar], list[Decimal], list[bool], set[Decimal]]:
    """Bars, vwaps, completeness and thresholds of a rule's bars of the day."""
    with database.connect(Role.ANALYST, autocommit=True) as connection:
        rows = connection.execute(
            sql.SQL(
                "select bar_index, bar_end, is_full, vwap, is_complete, threshold, bar_start, open, high, low, close, volume, quote_volume,"
                " trade_count, taker_buy_volume, taker_buy_quote_volume, first_sequence, last_sequence from {}"
                " where instrument = %s and rule = %s and day = %s order by bar_index"
            ).format(sql.Identifier(f"bars_{rule.kind}")),
            (INSTRUMENT, rule.name, DAY),
        ).fetchall()
    bars = [InformationBar(row[0], Bar(*row[6:]), row[1], row[2]) for row in rows]
    return bars, [row[3] for row in rows], [row[4] for row in rows], {row[5] for row in rows}


def broken(database: Database, kind: str) -> dict[str, int]:
    return {result.rule: result.broken for result in check_day(database, kind, DAY) if result.is_blocking and result.broken}


@on_a_server
@given(tape=tapes(), chosen=rule_sets, covered=intervals, accepted=intervals, stream=st.sampled_from(["trades", "agg_trades"]))
# A giant spans several multiples, and what it is over counts; ties of one microsecond are stored in the wrong order.
@example(
    tape=[Print(5, n, ONE, Decimal(size)) for n, size in [(4, 1), (2, 29), (1, 6), (3, 4), (5, 3)]],
    chosen={"tick": [Decimal(2)], "volume": [Decimal(10), Decimal("0.5")], "dollar": [Decimal(10)]},
    covered=[(0, DAY_US)],
    accepted=[],
    stream="trades",
)
# Of aggregated trades as many count as are in them, and none is split.
@example(
    tape=[Print(n, n, ONE, ONE, trades_in=number) for n, number in enumerate([1, 4, 2, 9, 1, 1])],
    chosen={"tick": [Decimal(3)], "volume": [Decimal(2)], "dollar": []},
    covered=[(0, DAY_US)],
    accepted=[],
    stream="agg_trades",
)
# So many ties that a sort by time alone would mix them up.
@example(
    tape=[Print(7 - n % 3, n * 37 % 101, ONE, Decimal(1 + n % 4)) for n in range(101)],
    chosen={"tick": [Decimal(2)], "volume": [Decimal(5)], "dollar": []},
    covered=[],
    accepted=[],
    stream="trades",
)
# A hole before a bar makes every later one incomplete, and a short one needs the rest of the day.
@example(
    tape=[Print(n * 1000, n, ONE, ONE) for n in range(1, 8)],
    chosen={"tick": [Decimal(2)], "volume": [], "dollar": []},
    covered=[(0, 4500), (5000, DAY_US - 1)],
    accepted=[(4500, 4999)],
    stream="agg_trades",
)
def test_bars_equal_the_definition(
    prepared: Database,
    tape: list[Print],
    chosen: dict[str, list[Decimal]],
    covered: list[Interval],
    accepted: list[Interval],
    stream: str,
) -> None:
    trades_in = {row.sequence: row.trades_in for row in tape} if stream == "agg_trades" else None
    rules = [Rule(kind, cut) for kind, cuts in chosen.items() for cut in cuts]
    wanted = {rule: bars for rule in rules if (bars := numbered(tape, rule, trades_in)) is not None}
    store(prepared, tape, list(wanted), covered, accepted, stream)
    changed = refresh(prepared)
    assert changed == sum(len(bars) for bars in wanted.values())
    for rule, expected in wanted.items():
        bars, vwaps, complete, cuts = stored(prepared, rule)
        assert bars == expected
        assert vwaps == [bar.sums.vwap for bar in expected]
        assert cuts <= {rule.threshold}
        for bar in bars:
            for number in (bar.sums.open, bar.sums.close, bar.sums.volume, bar.sums.quote_volume, bar.sums.taker_buy_quote_volume):
                assert format(number, "f") == plain(number)
        # The end is a time that belongs to the bar: until the microsecond after it.
        until = [to_us(bar.bar_end) - START_US + 1 if bar.is_full else DAY_US for bar in bars]
        assert complete == [holds(covered, accepted, (0, end)) for end in until]
    assert refresh(prepared) == 0
    for kind in KINDS:
        assert broken(prepared, kind) == {}


def test_what_does_not_count_takes_no_part(prepared: Database) -> None:
    fund, other = ("insurance_fund",), ("insurance_fund_", "auction")
    tape = [Print(n, n, ONE, ONE, "buy", (None, fund, other, ("adl", "auction"))[n % 4]) for n in range(12)]
    rule = Rule("tick", Decimal(3))
    store(prepared, tape, [rule], [(0, DAY_US)])
    refresh(prepared)
    bars, _, complete, _ = stored(prepared, rule)
    assert [(bar.sums.first_sequence, bar.sums.last_sequence, bar.sums.trade_count) for bar in bars] == [(0, 4, 3), (6, 10, 3)]
    assert complete == [True, True]


def test_a_rule_too_fine_for_what_was_traded_is_said(prepared: Database) -> None:
    store(prepared, [Print(0, 1, ONE, Decimal("9" * 20)), Print(1, 2, ONE, ONE)], [Rule("volume", Decimal("1e-18"))])
    with pytest.raises(PermanentFailure, match=r"volume-0.000000000000000001 is too fine for binance-usdm:BTCUSDT on 2024-03-05"):
        refresh(prepared)


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("delete from bars_volume where bar_index = 1", "sums equal the trades that count"),
        ("delete from bars_volume where rule = 'volume-2'", "sums equal the trades that count"),
        ("update bars_volume set rule = 'volume-2.5', threshold = 2.5 where rule = 'volume-2'", "sums equal the trades that count"),
        ("update bars_volume set volume = volume + 1, vwap = exact_vwap(quote_volume, volume + 1) where bar_index = 0",
         "bars are numbered by what was traded before them"),
        ("update bars_volume set bar_index = 99 where bar_index = 1", "bars are numbered by what was traded before them"),
        ("update bars_volume set is_full = not is_full where bar_index = 1", "a full bar ends with the trade that reaches its threshold"),
        ("update bars_volume set last_sequence = last_sequence + 1 where bar_index = 0",
         "a full bar ends with the trade that reaches its threshold"),
        ("update bars_volume set bar_start = bar_start - interval '1 hour', first_sequence = -1 where bar_index = 3",
         "bars follow one another"),
        ("update bars_volume set vwap = vwap + 1", "vwap is quote volume over volume, within high and low"),
        ("update bars_volume set taker_buy_volume = volume + 1", "taker volume within volume"),
    ],
)  # fmt: skip
def test_a_bar_that_was_edited_is_found_and_mended_by_its_day(prepared: Database, damage: str, rule: str) -> None:
    tape = [Print(n * 3_600_000_000, n, Decimal(n + 1), Decimal(1 + n % 3) / 2, "buy") for n in range(12)]
    store(prepared, tape, [Rule("volume", Decimal(2)), Rule("volume", Decimal(5))], [(0, DAY_US)])
    refresh(prepared)
    assert broken(prepared, "volume") == {}
    with prepared.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute(damage)
    assert rule in broken(prepared, "volume")
    assert refresh(prepared) > 0
    assert broken(prepared, "volume") == {}


# --- rules ------------------------------------------------------------------------------------------------------


def in_force(database: Database, *names: str) -> dict[tuple[str, str], list[str]]:
    with database.connect(Role.ANALYST, autocommit=True) as connection:
        found = rules_in_force(connection, KINDS, names)
    return {place: [rule.name for rule in rules] for place, rules in found.items()}


def test_a_fresh_database_cuts_at_a_thousand_trades_and_a_million(home: Path) -> None:
    assert home.is_dir()
    database = fresh_database()
    assert in_force(database, "kraken:XBTUSD") == {
        ("kraken:XBTUSD", "tick"): ["tick-1000"],
        ("kraken:XBTUSD", "dollar"): ["dollar-1000000"],
    }


def test_the_narrowest_scope_holds(prepared: Database) -> None:
    store(prepared, [])
    btc, eth, gemini = "binance:BTCUSDT", "binance:ETHUSDT", "gemini:BTCUSD"
    set_rules(prepared, "*", ["tick", "dollar"], [Rule("tick", Decimal(1000)), Rule("dollar", Decimal(10))])
    set_rules(prepared, "binance:*", ["tick"], [Rule("tick", Decimal(500)), Rule("tick", Decimal(50))])
    set_rules(prepared, btc, ["tick", "volume"], [Rule("tick", Decimal(7)), Rule("volume", Decimal("0.5"))])
    assert in_force(prepared, btc, eth, gemini) == {
        (btc, "tick"): ["tick-7"], (btc, "volume"): ["volume-0.5"], (btc, "dollar"): ["dollar-10"],
        (eth, "tick"): ["tick-50", "tick-500"], (eth, "dollar"): ["dollar-10"],
        (gemini, "tick"): ["tick-1000"], (gemini, "dollar"): ["dollar-10"],
    }  # fmt: skip

    # What is set again is left as it is; what is not named is withdrawn, and stays readable.
    def kept() -> list[tuple]:
        with prepared.connect(Role.ANALYST, autocommit=True) as connection:
            return connection.execute("select scope, rule, declared_at, withdrawn_at from bar_rules order by 1, 2, 3").fetchall()

    before = kept()
    set_rules(prepared, "binance:*", ["tick"], [Rule("tick", Decimal("50.0")), Rule("tick", Decimal(500))])
    assert kept() == before
    set_rules(prepared, btc, ["tick"], [])
    assert in_force(prepared, btc)[btc, "tick"] == ["tick-50", "tick-500"]
    set_rules(prepared, btc, ["tick"], [Rule("tick", Decimal(7))])
    mine = [(rule, withdrawn is None) for scope, rule, _, withdrawn in kept() if (scope, rule) == (btc, "tick-7")]
    assert mine == [("tick-7", False), ("tick-7", True)]


@pytest.mark.parametrize(
    ("scope", "rule", "kind", "threshold"),
    [
        ("*", "tick-1", "tick", "0"),
        ("*", "dollar-NaN", "dollar", "NaN"),
        ("*", "dollar-Infinity", "dollar", "Infinity"),
        ("*", "tick-2.5", "tick", "2.5"),
        ("*", "dollar-10", "dollar", "11"),
        ("*", "dollar-1.0", "dollar", "1.0"),
        ("*", "euro-1", "euro", "1"),
        ("**", "tick-1", "tick", "1"),
        ("binance", "tick-1", "tick", "1"),
        ("binance:btcusdt", "tick-1", "tick", "1"),
    ],
)
def test_what_is_no_rule_is_not_stored(prepared: Database, scope: str, rule: str, kind: str, threshold: str) -> None:
    with prepared.connect(Role.WRITER, autocommit=True) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "insert into bar_rules (scope, rule, kind, threshold, declared_at) values (%s, %s, %s, %s, now())",
            (scope, rule, kind, threshold),
        )


# --- in step with the trades ------------------------------------------------------------------------------------


class Tick(NamedTuple):
    """A trade of a file: milliseconds of the day, price in cents, size in lots of 0.00001."""

    trade_id: int
    at_ms: int
    cents: int
    lots: int
    is_buyer_maker: bool


@pytest.fixture(scope="module")
def roomy(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """One platform for tests that keep to instruments of their own."""
    assert home.is_dir()
    landing_home = Home(tmp_path_factory.mktemp("landing-home"))
    landing_home.prepare()
    return Platform(fresh_database(), landing_home)


@pytest.fixture
def symbol(request: pytest.FixtureRequest) -> str:
    """A symbol of the test's own, with rules under which its tapes have many bars."""
    name = "".join(character for character in request.node.name.upper() if character.isalnum())[-30:] + "USDT"
    if "roomy" in request.fixturenames:
        declare(request.getfixturevalue("roomy"), name)
    return name


RULES = [Rule("tick", Decimal(7)), Rule("volume", Decimal(300)), Rule("dollar", Decimal(30_000_000))]


def declare(platform: Platform, symbol: str) -> None:
    set_rules(platform.database, f"binance:{symbol}", list(KINDS), RULES)


def tape(number: int, seed: int, first_id: int = 1000) -> list[Tick]:
    """A day of trades in order; some share a millisecond."""
    rng = random.Random(seed)
    pool = [0, DAY_MS - 1, *(rng.randrange(DAY_MS) for _ in range(number // 2))]
    times = sorted(rng.choice(pool) for _ in range(number))
    return [Tick(first_id + n, at, rng.randrange(1, 10**7), rng.randrange(1, 10**7), rng.random() < 0.5) for n, at in enumerate(times)]


def vision(folder: Path, symbol: str, ticks: Sequence[Tick], suffix: str = "", day: date = DAY) -> Path:
    """A file of the venue's archive, which claims to hold the whole day."""
    start = to_us(datetime(day.year, day.month, day.day, tzinfo=UTC)) // 1000
    lines = [
        f"{t.trade_id},{Decimal(t.cents) / 100},{Decimal(t.lots).scaleb(-5):f},0.1,{start + t.at_ms},{t.is_buyer_maker},True\n"
        for t in ticks
    ]
    path = folder / f"{symbol}-trades-{day}{suffix}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{symbol}-trades-{day}.csv", "".join(lines))
    return path


def take_in(platform: Platform, path: Path) -> None:
    for done in platform.take_in(path, "binance-vision-trades"):
        assert [file.refused for file in done.files] == [None] * len(done.files)


def standing(platform: Platform, symbol: str) -> dict[Key, dict]:
    """Every bar of an instrument as its row."""
    found: dict[Key, dict] = {}
    for kind in KINDS:
        statement = f"select rule, day::text, bar_index, to_jsonb(b)::text from bars_{kind} as b where instrument = %s"  # noqa: S608  # names of ours
        rows = platform.rows(statement, f"binance:{symbol}")
        found |= {(kind, rule, day, index): json.loads(row) for rule, day, index, row in rows}
    return found


def defined(ticks: Sequence[Tick], rule: Rule) -> list[InformationBar]:
    trades = [
        Trade(
            MIDNIGHT + timedelta(milliseconds=t.at_ms), t.trade_id, Decimal(t.cents) / 100, Decimal(t.lots).scaleb(-5),
            "sell" if t.is_buyer_maker else "buy",
        )
        for t in ticks
    ]  # fmt: skip
    return information_bars(trades, rule)


def assert_exact(platform: Platform, symbol: str, ticks: Sequence[Tick], rules: Sequence[Rule] = tuple(RULES)) -> None:
    """The bars of the day are those of the definition, and the log has nothing more to say."""
    rows = standing(platform, symbol)
    wanted = {(rule.kind, rule.name, DAY.isoformat(), bar.bar_index): bar for rule in rules for bar in defined(ticks, rule)}
    assert rows.keys() == wanted.keys()
    for key, bar in wanted.items():
        sums = (bar.sums.first_sequence, bar.sums.last_sequence, bar.sums.trade_count, bar.is_full)
        assert tuple(rows[key][name] for name in ("first_sequence", "last_sequence", "trade_count", "is_full")) == sums
    assert refresh(platform.database, whole_days=True) == 0


def waiting(platform: Platform) -> dict[date, int]:
    """Days on which these bars are behind the log; time bars and verdicts are refreshed before, so that they are not."""
    platform.refresh()
    return days_behind(platform.database, 1000, timedelta(0))


def test_a_late_trade_changes_the_bars_from_it_on_and_none_before(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    ticks = tape(400, 1)
    late = ticks[200]
    take_in(roomy, vision(tmp_path, symbol, [t for t in ticks if t is not late]))
    refresh(roomy.database, whole_days=False)
    before = standing(roomy, symbol)
    assert_exact(roomy, symbol, [t for t in ticks if t is not late])
    take_in(roomy, vision(tmp_path, symbol, [late], "-late"))
    assert DAY in waiting(roomy)
    assert refresh(roomy.database, whole_days=False) > 0
    assert DAY not in waiting(roomy)
    after = standing(roomy, symbol)
    moment = MIDNIGHT + timedelta(milliseconds=late.at_ms)
    stay = {key for key, row in before.items() if row["is_complete"]}
    assert stay == {key for key, row in before.items() if datetime.fromisoformat(row["bar_end"]) < moment}
    assert all(before[key] == after[key] for key in stay)
    # Every later bar of ticks begins a trade earlier; of the other kinds the late trade moves at least the one it falls into.
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert {kind for kind, *_ in changed} == set(KINDS)
    assert changed == (before | after).keys() - stay
    assert all(row["is_complete"] for row in after.values())
    assert_exact(roomy, symbol, ticks)


def test_what_did_not_change_is_not_written(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    ticks = tape(300, 2)
    take_in(roomy, vision(tmp_path, symbol, ticks))
    refresh(roomy.database, whole_days=False)
    before = standing(roomy, symbol)
    entries = roomy.rows("select count(*) from invalidation_log")
    for whole_days in (False, True):
        for kind in KINDS:
            [done] = refresh_information_bars(roomy.database, kind, [DAY], whole_days=whole_days)
            assert (done.changed, done.windows > 0, done.bars > 0) == (0, whole_days, True)
    # Taken in again, every trade is known already; declared again, every rule holds already.
    take_in(roomy, vision(tmp_path, symbol, ticks, "-again"))
    assert set_rules(roomy.database, f"binance:{symbol}", list(KINDS), RULES) == RulesChanged((), 0)
    assert refresh(roomy.database, whole_days=False) == 0
    assert standing(roomy, symbol) == before
    assert roomy.rows("select count(*) from invalidation_log") == entries


def test_what_changed_is_logged_with_the_time_that_it_spans(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    ticks = tape(300, 3)
    take_in(roomy, vision(tmp_path, symbol, ticks[:100] + ticks[101:]))
    refresh(roomy.database, whole_days=False)
    take_in(roomy, vision(tmp_path, symbol, ticks[100:101], "-late"))
    before = standing(roomy, symbol)
    refresh(roomy.database, whole_days=False)
    after = standing(roomy, symbol)
    for kind in KINDS:
        changed = [row for key in before | after if before.get(key) != after.get(key) and key[0] == kind
                   for row in (before.get(key), after.get(key)) if row]  # fmt: skip
        span = (min(row["bar_start"] for row in changed), max(row["bar_end"] for row in changed))
        [(from_time, to_time)] = roomy.rows(
            "select from_time, to_time from invalidation_log where relation = %s and instrument = %s order by invalidation_id desc limit 1",
            f"bars_{kind}",
            f"binance:{symbol}",
        )
        assert (datetime.fromisoformat(span[0]), datetime.fromisoformat(span[1])) == (from_time, to_time - timedelta(microseconds=1))


def test_other_rules_make_the_days_again_and_leave_other_kinds_alone(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    ticks = tape(300, 4)
    take_in(roomy, vision(tmp_path, symbol, ticks))
    refresh(roomy.database, whole_days=False)
    before = standing(roomy, symbol)
    name = f"binance:{symbol}"
    finer = [Rule("volume", Decimal(100)), Rule("volume", Decimal("33.3"))]
    assert set_rules(roomy.database, name, ["volume"], finer) == RulesChanged((DAY,), 1)
    assert DAY in waiting(roomy)
    assert [
        done.windows for kind in ("tick", "dollar") for done in refresh_information_bars(roomy.database, kind, [DAY], whole_days=False)
    ] == [0, 0]
    assert refresh(roomy.database, whole_days=False) > 0
    assert DAY not in waiting(roomy)
    after = standing(roomy, symbol)
    assert {key: row for key, row in after.items() if key[0] != "volume"} == {key: row for key, row in before.items() if key[0] != "volume"}
    assert_exact(roomy, symbol, ticks, [RULES[0], *finer, RULES[2]])
    # A kind without a rule has no bars.
    set_rules(roomy.database, name, ["volume"], [])
    assert refresh(roomy.database, whole_days=False) > 0
    assert_exact(roomy, symbol, ticks, [RULES[0], RULES[2]])


def test_a_bar_never_spans_midnight(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    take_in(roomy, vision(tmp_path, symbol, tape(100, 5)))
    take_in(roomy, vision(tmp_path, symbol, tape(100, 6, first_id=1100), day=NEXT))
    refresh(roomy.database, [DAY, NEXT], whole_days=False)
    for kind in KINDS:
        of_day = {
            day: [row for key, row in standing(roomy, symbol).items() if key[0] == kind and key[2] == day.isoformat()]
            for day in (DAY, NEXT)
        }
        assert all(row["bar_start"][:10] == row["bar_end"][:10] == day.isoformat() for day, rows in of_day.items() for row in rows)
        assert [sum(row["trade_count"] for row in rows) for rows in of_day.values()] == [100, 100]
        assert all(min(row["bar_index"] for row in rows) == 0 for rows in of_day.values())


def test_nothing_is_lost_between_loads_rules_and_refreshers(platform: Platform, tmp_path: Path) -> None:
    symbol, ticks = "BTCUSDT", tape(2000, 7)
    declare(platform, symbol)
    pieces = [ticks[start : start + 50] for start in range(50, len(ticks) - 50, 50)]
    random.Random(7).shuffle(pieces)
    # The first file has both ends: the claim of a whole day is believed there.
    pieces = [ticks[:50], *pieces[:5], ticks[-50:], *pieces[5:]]
    files = [vision(tmp_path, symbol, [t for piece in pieces[n::6] for t in piece], f"-{n}") for n in range(6)]
    take_in(platform, files[0])
    final = {(r.name, bar.bar_index, bar.sums.first_sequence, bar.sums.last_sequence) for r in RULES for bar in defined(ticks, r)}
    finished = threading.Event()

    def bring() -> int:
        try:
            for path in files[1:]:
                take_in(platform, path)
        finally:
            finished.set()
        return 1

    def until_then(work: Callable[[int], object]) -> int:
        rounds = 0
        while not finished.is_set():
            work(rounds)
            rounds += 1
        return rounds

    def look(_: int) -> None:
        """What calls itself complete is final, at any moment."""
        complete = [row for row in standing(platform, symbol).values() if row["is_complete"]]
        assert {(row["rule"], row["bar_index"], row["first_sequence"], row["last_sequence"]) for row in complete} <= final

    def keep_up(turn: int) -> None:
        refresh(platform.database, whole_days=turn % 2 == 0)

    def rule(turn: int) -> None:
        set_rules(platform.database, f"binance:{symbol}", ["volume"], [] if turn % 2 else RULES[1:2])

    with ThreadPoolExecutor(5) as pool:
        tasks = [pool.submit(bring), *(pool.submit(until_then, work) for work in (keep_up, keep_up, rule, look))]
        results = [task.result(timeout=120) for task in tasks]
    assert min(results) > 0
    declare(platform, symbol)
    refresh(platform.database, whole_days=False)
    assert waiting(platform) == {}
    assert all(row["is_complete"] for row in standing(platform, symbol).values())
    assert_exact(platform, symbol, ticks)
    for kind in KINDS:
        assert broken(platform.database, kind) == {}


@pytest.mark.crash
def test_killed_before_its_commit_and_started_again(roomy: Platform, tmp_path: Path, symbol: str) -> None:
    ticks = tape(200, 8)
    take_in(roomy, vision(tmp_path, symbol, ticks))
    script = f"""
from datetime import date
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.information_bars import refresh_information_bars
print(list(refresh_information_bars(Database.current({roomy.database.name!r}), "volume", [date(2024, 3, 5)], whole_days=False)))
"""
    killed_at("information_bars.before_commit", script)
    assert standing(roomy, symbol) == {}
    refresh(roomy.database, whole_days=False)
    assert_exact(roomy, symbol, ticks)


def test_dropped_trades_leave_their_bars_and_hold_up_nobody(platform: Platform, tmp_path: Path) -> None:
    names = ["AAAUSDT", "BBBUSDT"]
    tapes_of = {name: tape(100, 9) for name in names}
    for name, ticks in tapes_of.items():
        declare(platform, name)
        take_in(platform, vision(tmp_path, name, ticks[:40] + ticks[41:]))
    refresh(platform.database)
    before = standing(platform, names[0])
    with platform.database.connect(Role.OWNER) as connection:
        connection.execute("delete from raw_trades where instrument = 'binance:AAAUSDT'")
        connection.execute("update coverage set is_dropped = true where instrument = 'binance:AAAUSDT'")
        connection.execute(
            "insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, logged_at) "
            "values ('raw_trades', 'binance:AAAUSDT', '2024-03-05', '2024-03-05', '2024-03-05 12:00', 'load', now())"
        )
    take_in(platform, vision(tmp_path, names[1], tapes_of[names[1]][40:41], "-late"))
    for kind in KINDS:
        for whole_days in (False, True):
            with pytest.raises(RawTradesGone, match="binance:AAAUSDT on 2024-03-05"):
                list(refresh_information_bars(platform.database, kind, [DAY], whole_days=whole_days))
        assert broken(platform.database, kind) == {}
    assert standing(platform, names[0]) == before
    # Other rules cannot cut what is gone, and nobody is asked to.
    changed = set_rules(platform.database, "binance:*", ["tick"], [replace(RULES[0], threshold=Decimal(9))])
    assert changed == RulesChanged((), 0)
    assert set_rules(platform.database, "binance:AAAUSDT", ["tick"], []) == RulesChanged((), 0)
    assert standing(platform, names[0]) == before


def test_one_instrument_alone(platform: Platform, tmp_path: Path) -> None:
    for name in ("AAAUSDT", "BBBUSDT"):
        declare(platform, name)
        take_in(platform, vision(tmp_path, name, tape(100, 10)))
    [done] = refresh_information_bars(platform.database, "tick", [DAY], whole_days=False, instruments=["binance:BBBUSDT"])
    assert standing(platform, "AAAUSDT") == {}
    assert done.bars == done.changed == len(standing(platform, "BBBUSDT")) > 0
