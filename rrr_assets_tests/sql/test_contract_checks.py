"""The rules of a contract, asked in SQL and by Great Expectations: planted defects are found by both, row for row.

The tables themselves forbid most of it: defects are planted where somebody took the constraints away, or in a copy that has none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import psycopg
import pytest
from psycopg import sql

from rrr_assets.calc.outcomes import RelationGone, RuleResult
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.rules import SENTENCES, WORDS, Kind, rules_of
from rrr_assets.quality.expectations import Validator, expectation_of, validator
from rrr_assets.warehouse import inspection
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.contract_checks import RuleCount, ask_contract, ask_contracts, one_view
from rrr_assets.warehouse.inspection import check
from rrr_assets_tests.loading import DAY, NAME, NEXT, emptied, tape, vision
from rrr_assets_tests.platform import Platform

FROM, TO = datetime(2025, 3, 3, tzinfo=UTC), datetime(2025, 3, 4, tzinfo=UTC)
COUNT = 200
BACK = "event_time never steps back along sequence"
RADIO = "source is one of perplexity, twitter, reddit"
LATER = (
    "select (jsonb_populate_record(t, jsonb_build_object('event_time', t.event_time + interval '1 min',"
    " 'available_at', t.available_at + interval '1 min'))).* from {t} as t where sequence = 1100"
)
SENTIMENT = "insert into {{t}} (sentiment_id, asset, event_time, source, sentiment_score, confidence, known_at) values ({}, now())"
# Per table: a statement that plants, and the rules that it breaks, each with the number of its rows.
PLANTED: dict[str, list[tuple[str, dict[str, int]]]] = {
    "raw_trades": [
        ("update {t} set price = null where sequence in (1001, 1002)", {"price is never null": 2}),
        ("update {t} set price = -1 where sequence = 1003", {"price > 0": 1}),
        ("update {t} set size = 0 where sequence in (1004, 1005, 1006)", {"size > 0": 3}),
        ("update {t} set price = 'NaN' where sequence = 1007", {"price is finite": 1}),
        ("update {t} set side = 'up' where sequence in (1008, 1009)", {"side is one of buy, sell": 2}),
        ("update {t} set available_at = event_time - interval '1 s' where sequence = 1010", {"event_time <= available_at": 1}),
        # The row that is there twice has another time, and the next one lies before it.
        (f"insert into {{t}} {LATER.format(t='{t}')}", {"(instrument, space, sequence) is there once": 2, BACK: 1}),
        ("update {t} set event_time = event_time - interval '10 s' where sequence = 1050", {BACK: 1}),
    ],
    "bars_1m": [
        ("update {t} set volume = -1 where bar_start = {first}", {"volume >= 0": 1, "taker_buy_volume <= volume": 1}),
        ("update {t} set trade_count = 0 where bar_start = {first}", {"trade_count >= 1": 1}),
        ("update {t} set high = low - 1 where bar_start = {second}", {"open <= high": 1, "close <= high": 1}),
        ("insert into {t} select * from {t} where bar_start = {last}", {"(instrument, bar_start) is there once": 2}),
    ],
    "market_sentiment": [
        (SENTIMENT.format("1, 'BTC', now(), 'reddit', 1.5, -0.1"), {"sentiment_score from -1 to 1": 1, "confidence from 0 to 1": 1}),
        (SENTIMENT.format("2, 'BTC', now(), 'twitter', -1, 1"), {}),
        (
            SENTIMENT.format("2, 'BTC', now(), 'radio', -1.01, 0"),
            {"sentiment_score from -1 to 1": 1, RADIO: 1, "(sentiment_id) is there once": 2},
        ),
        (SENTIMENT.format("3, null, now(), 'reddit', null, null"), {"asset is never null": 1}),
    ],
}


@pytest.fixture(scope="module")
def platform(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    """A day of trades, its bars, and a day of a single trade."""
    made = emptied(database, tmp_path_factory.mktemp("landed"))
    folder = tmp_path_factory.mktemp("files")
    made.take_in(vision(folder, tape(DAY, COUNT), DAY), "binance-vision-trades")
    made.take_in(vision(folder, tape(NEXT, 1, first_id=5000), NEXT), "binance-vision-trades")
    made.refresh()
    return made


@pytest.fixture(scope="module")
def asking(platform: Platform) -> Iterator[Validator]:
    with validator(platform.database) as made:
        yield made


def owned(database: Database, *statements: str) -> None:
    with database.connect(Role.OWNER, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def asked(database: Database, table: Table, relation: str | None = None, *, is_whole: bool = False) -> list[RuleCount]:
    window = (None, None) if is_whole else (FROM, TO)
    with database.connect(Role.ANALYST, autocommit=True) as connection, one_view(connection):
        return ask_contract(connection, table, *window, relation=relation)


def broken(results: list[RuleResult]) -> dict[str, int]:
    return {result.rule: result.broken for result in results if result.broken}


@contextmanager
def changed(database: Database, before: tuple[str, ...], after: tuple[str, ...]) -> Iterator[None]:
    owned(database, *before)
    try:
        yield
    finally:
        owned(database, *after)


@pytest.mark.parametrize("name", PLANTED)
def test_both_find_what_was_planted_and_the_same_rows_of_it(platform: Platform, asking: Validator, name: str) -> None:
    table = TABLES[name]
    scratch = f"scratch_{name}"
    starts = [start for (start,) in platform.rows("select bar_start from bars_1m where bar_start < %s order by 1", TO)]
    bars = {"first": f"'{starts[0]}'", "second": f"'{starts[1]}'", "last": f"'{starts[-1]}'"}
    owned(
        platform.database,
        f"create table {scratch} as select * from {name}",  # noqa: S608  # names of ours
        f"grant select on {scratch} to rrr_analyst",
        *(statement.format(t=scratch, **bars) for statement, _ in PLANTED[name]),
    )
    expected: dict[str, int] = {}
    for _, rules in PLANTED[name]:
        for rule, count in rules.items():
            expected[rule] = expected.get(rule, 0) + count
    is_whole = name == "market_sentiment"
    in_sql = asked(platform.database, table, scratch, is_whole=is_whole)
    by_library = asking.validate(table, None if is_whole else DAY, relation=scratch)
    # Who shares an id shares the whole key only where the time is the same too.
    assert {each.rule.told: each.broken for each in in_sql if each.broken} == expected
    assert {answer.says: answer.broken for answer in by_library.answers if answer.broken or not answer.is_met} == expected
    assert [answer.error for answer in by_library.answers if answer.error] == []
    assert not by_library.is_success
    assert [each.rule.told for each in in_sql if each.is_proven and table.time_column not in each.rule.columns] == []
    assert all(each.examples for each in in_sql if each.broken)
    assert {answer.rule for answer in by_library.answers if not answer.is_met} == {each.rule.word for each in in_sql if each.broken}
    owned(platform.database, f"drop table {scratch}")


def test_what_a_constraint_holds_is_not_read_and_what_it_no_longer_holds_is(platform: Platform) -> None:
    database = platform.database
    before = {each.rule.told: each.is_proven for each in asked(database, TABLES["raw_trades"])}
    assert before["price > 0"]
    assert before["side is one of buy, sell"]
    assert before["event_time <= available_at"]
    assert before["(instrument, space, sequence, event_time) is there once"]
    assert not before["(instrument, space, sequence) is there once"]
    assert broken(check(database, "raw_trades", DAY)) == {}
    with changed(
        database,
        (
            "alter table raw_trades drop constraint raw_trades_price_positive",
            "update raw_trades set price = -price where sequence in (1001, 1002)",
        ),
        (
            "update raw_trades set price = abs(price) where sequence in (1001, 1002)",
            "alter table raw_trades add constraint raw_trades_price_positive check (price > 0)",
        ),
    ):
        assert not {each.rule.told: each.is_proven for each in asked(database, TABLES["raw_trades"])}["price > 0"]
        found = {result.rule: result for result in check(database, "raw_trades", DAY) if result.broken}
        assert {rule: (one.broken, one.is_blocking, one.looked_at) for rule, one in found.items()} == {
            "price and size positive": (2, True, COUNT),
            "every number is within its range": (2, True, COUNT),
        }
        assert "1001" in found["every number is within its range"].examples[0]
    # A constraint that was put back without looking at what is there proves nothing.
    with changed(
        database,
        (
            "alter table raw_trades drop constraint raw_trades_size_positive",
            "update raw_trades set size = 0 where sequence = 1001",
        ),
        (
            "update raw_trades set size = 0.2 where sequence = 1001",
            "alter table raw_trades add constraint raw_trades_size_positive check (size > 0)",
        ),
    ):
        assert broken(check(database, "raw_trades", DAY))["price and size positive"] == 1
    assert broken(check(database, "raw_trades", DAY)) == {}


REPEAT = f"insert into raw_trades {LATER.format(t='raw_trades')}"
FORGET = "delete from raw_trades where sequence = 1100 and event_time = (select max(event_time) from raw_trades where sequence = 1100)"


@pytest.mark.parametrize(
    ("most", "part"), [(10, 50_000), (8_000_000, 50_000), (8_000_000, 20)], ids=["too many for memory", "few", "in parts"]
)
def test_a_trade_that_is_there_twice_and_time_that_steps_back(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, most: int, part: int
) -> None:
    monkeypatch.setattr(inspection, "_MOST_IN_MEMORY", most)
    monkeypatch.setattr(inspection, "_ROWS_OF_A_PART", part)
    database = platform.database
    assert broken(check(database, "raw_trades", DAY)) == {}
    with changed(database, (REPEAT,), (FORGET,)):
        found = {result.rule: result for result in check(database, "raw_trades", DAY) if result.broken}
        assert {rule: one.broken for rule, one in found.items()} == {
            "each trade once": 1,
            "rows equal the coverage ledger": 1,
            "time never steps back along the ids": 1,
        }
        assert found["each trade once"].looked_at == COUNT + 1
        assert found["each trade once"].examples == (f"{NAME} 1100",)
    moved = (
        "update raw_trades set event_time = event_time {0} interval '3 s', available_at = available_at {0} interval '3 s'"
        " where sequence = 1060"
    )
    with changed(database, (moved.format("-"),), (moved.format("+"),)):
        found = {result.rule: result for result in check(database, "raw_trades", DAY) if result.broken}
        assert {rule: (one.broken, one.is_blocking) for rule, one in found.items()} == {"time never steps back along the ids": (1, False)}
        assert found["time never steps back along the ids"].examples == (f"{NAME} 1060",)
    assert broken(check(database, "raw_trades", DAY)) == {}


def test_one_that_is_there_twice_does_not_make_up_for_one_that_is_gone(platform: Platform) -> None:
    """As many rows as ids between the ends, and as many as the ledger says."""
    before = ("create table kept as select * from raw_trades where sequence = 1150", "delete from raw_trades where sequence = 1150", REPEAT)
    with changed(platform.database, before, (FORGET, "insert into raw_trades select * from kept", "drop table kept")):
        found = broken(check(platform.database, "raw_trades", DAY))
        assert found == {"each trade once": 1, "time never steps back along the ids": 1}
    assert broken(check(platform.database, "raw_trades", DAY)) == {}


def test_what_steps_back_where_a_day_is_parted_is_found(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of a part is before the last of the part before it, and each part for itself is in order."""
    monkeypatch.setattr(inspection, "_ROWS_OF_A_PART", 20)
    earlier = (
        "update raw_trades set event_time = event_time {0} interval '10 s', available_at = available_at {0} interval '10 s'"
        " where sequence between {1} and 1199 and event_time >= '2025-03-03' and event_time < '2025-03-04'"
    )
    for first in (1048, 1049, 1050, 1098, 1099, 1100, 1148, 1149, 1150):
        with changed(platform.database, (earlier.format("-", first),), (earlier.format("+", first),)):
            [found] = [result for result in check(platform.database, "raw_trades", DAY) if result.broken]
        assert (found.rule, found.broken, found.examples) == ("time never steps back along the ids", 1, (f"{NAME} {first}",))
    assert broken(check(platform.database, "raw_trades", DAY)) == {}


@pytest.mark.parametrize("part", [20, 50_000], ids=["in parts", "at once"])
def test_what_the_ledger_knows_nothing_of_is_found(platform: Platform, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """Before, between and after what it knows: other instruments, other spaces, other ids."""
    monkeypatch.setattr(inspection, "_ROWS_OF_A_PART", part)
    plant = "insert into raw_trades select (jsonb_populate_record(t, '{}')).* from raw_trades as t where sequence = 1100"
    strange = [
        '{"instrument": "a:FIRST", "sequence": 1}', '{"instrument": "z:LAST", "sequence": 1}', '{"space": "aggregate_id", "sequence": 1}',
        '{"space": "ordinal", "sequence": 7}', '{"sequence": -9223372036854775808}', '{"sequence": 9223372036854775807}',
    ]  # fmt: skip
    planted = [plant.format(values) for values in strange]
    forget = "delete from raw_trades where (instrument, space) <> ({}) or sequence not between 1000 and 5000"
    with changed(platform.database, tuple(planted), (forget.format(f"'{NAME}', 'trade_id'"),)):
        found = {result.rule: result for result in check(platform.database, "raw_trades", DAY)}
    assert found["each trade once"].looked_at == COUNT + len(planted)
    assert {rule: one.broken for rule, one in found.items() if one.broken} == {
        "one identity space per instrument": 1,
        "rows equal the coverage ledger": 3,
        "time never steps back along the ids": 2,
    }
    assert broken(check(platform.database, "raw_trades", DAY)) == {}


LEDGERS: dict[str, list[tuple[str, str, int, int, int]]] = {
    "nothing": [],
    "one": [("m:A", "trade_id", 0, 99, 100)],
    "one of one id": [("m:A", "trade_id", 5, 5, 100)],
    "one among small ones": [("m:A", "trade_id", 0, 9, 5), ("m:B", "trade_id", 0, 99, 100), ("m:C", "ordinal", 0, 9, 5)],
    "many small ones": [(f"m:{letter}", "trade_id", 0, 9, 8) for letter in "ABCDEFGHIJKL"],
    "two large ones": [("m:A", "trade_id", 0, 99, 60), ("m:B", "ordinal", 10, 20, 40)],
    "an instrument twice": [("m:A", "ordinal", 0, 99, 60), ("m:A", "trade_id", 0, 99, 60)],
}


@pytest.mark.parametrize("ledger", LEDGERS.values(), ids=LEDGERS)
def test_each_row_is_in_one_part(platform: Platform, monkeypatch: pytest.MonkeyPatch, ledger: list[tuple[str, str, int, int, int]]) -> None:
    monkeypatch.setattr(inspection, "_ROWS_OF_A_PART", 10)
    parts = inspection._parts(ledger)
    assert len(parts) >= min(4, sum(rows for *_, rows in ledger) // 10)
    rows = sql.SQL(
        "select array[{}] as met, i, s, q from (values ('a:X'), ('m:A'), ('m:AA'), ('m:B'), ('m:D'), ('m:L'), ('z:X')) as x (i), "
        "unnest('{{aggregate_id,ordinal,trade_id}}'::text[]) as s, generate_series(-1, 101) as q, "
        'lateral (select i collate "C" as instrument, s collate "C" as space, q as sequence) as t'
    ).format(sql.SQL(", ").join(parts))
    with platform.database.connect(Role.ANALYST) as connection:
        for met, *key in connection.execute(rows).fetchall():
            assert met.count(True) == 1, key


@pytest.mark.parametrize("name", [*(name for name in TABLES if name.startswith("raw_")), "bars_1m", "venue_bars", "bar_conformance"])
def test_an_empty_day_breaks_nothing(platform: Platform, name: str) -> None:
    assert broken(check(platform.database, name, date(2019, 1, 1))) == {}


def test_a_day_of_one_trade_breaks_nothing(platform: Platform) -> None:
    results = check(platform.database, "raw_trades", NEXT)
    assert broken(results) == {}
    assert {result.looked_at for result in results if result.rule == "each trade once"} == {1}
    assert broken(check(platform.database, "bars_1m", NEXT)).keys() <= {"bars are complete"}


def test_bars_that_break_their_contract_stop_the_flow(platform: Platform) -> None:
    moved = "update bars_1m set taker_buy_volume = taker_buy_volume {} 1000 where bar_start < '2025-03-04'"
    with changed(platform.database, (moved.format("-"),), (moved.format("+"),)):
        found = [result.rule for result in check(platform.database, "bars_1m", DAY) if result.broken and result.is_blocking]
        assert found == ["every number is within its range"]


@pytest.mark.parametrize(("table", "dropped"), [("raw_trades", "raw_trades"), ("raw_trades", "coverage"), ("bars_5m", "bars_5m")])
def test_a_table_that_was_dropped_is_named(platform: Platform, table: str, dropped: str) -> None:
    with changed(platform.database, (f"alter table {dropped} rename to elsewhere",), (f"alter table elsewhere rename to {dropped}",)):
        with pytest.raises(RelationGone, match=f'relation "{dropped}" does not exist'):
            check(platform.database, table, DAY)
        told = ask_contracts(platform.database, DAY)
        assert [(rule.broken, rule.is_blocking) for rule in told[dropped]] == [(1, True)]
        assert [name for name, rules in told.items() if any(rule.broken for rule in rules)] == [dropped]


def test_what_a_contract_is_told_by_has_a_word(platform: Platform) -> None:
    told = {rule.rule for rules in ask_contracts(platform.database, DAY).values() for rule in rules}
    assert told == set(SENTENCES.values())
    assert told <= set(WORDS)


def test_the_analyst_asks_and_reads_no_row_into_memory(asking: Validator) -> None:
    fetched: list[int] = []

    def after(_connection: object, cursor: psycopg.Cursor, *_: object) -> None:
        fetched.append(cursor.rowcount)

    from sqlalchemy import event

    engine = asking.source.get_execution_engine().engine
    event.listen(engine, "after_cursor_execute", after)
    said = asking.validate(TABLES["raw_trades"], DAY)
    event.remove(engine, "after_cursor_execute", after)
    assert said.is_success
    assert {answer.looked_at for answer in said.answers if answer.kind == "null"} == {COUNT}
    assert fetched
    assert max(fetched) <= 1
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select current_user").scalar_one() == "rrr_analyst"


def test_every_rule_of_every_contract_has_words_in_the_library(asking: Validator) -> None:
    assert asking.source
    for table in TABLES.values():
        made = [expectation_of(rule) for rule in rules_of(table)]
        assert len({repr(each.configuration.to_json_dict()) for each in made}) == len(rules_of(table))


def test_every_contract_is_a_suite_and_an_empty_table_meets_it(asking: Validator) -> None:
    for name in ("orders", "raw_quotes", "coverage"):
        table = TABLES[name]
        said = asking.validate(table, DAY if name == "raw_quotes" else None)
        assert (said.is_success, [answer.error for answer in said.answers if answer.error]) == (True, [])
        assert len(said.answers) == 1 + sum(rule.kind is not Kind.KEY or table.identity is None for rule in rules_of(table))


def test_a_column_that_was_added_is_not_in_the_contract(platform: Platform, asking: Validator) -> None:
    with changed(platform.database, ("alter table gaps add column mood text",), ("alter table gaps drop column mood",)):
        said = asking.validate(TABLES["gaps"])
        assert [(answer.rule, answer.broken) for answer in said.answers if not answer.is_met] == [("schema_drift", 1)]
