"""Costs add up whichever way they are grouped, forecasts only grow, and money is exact from the list's text on."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.archive import cost_tables
from rrr_assets.archive.cost_chart import cost_png
from rrr_assets.archive.costs import DEFAULT_PRICES, current_prices
from rrr_assets.archive.hold_costs import cost_of
from rrr_assets.calc import costs
from rrr_assets.calc.costs import (
    FACTORS,
    GIB,
    KEPT,
    RULES,
    TIERS,
    YEARS,
    Around,
    Density,
    Flow,
    Holding,
    Left,
    Measured,
    Standing,
    apportion,
    disk_gib,
    forecast,
    machine_for,
    make_report,
    saving,
    standing,
    storage_cost,
    total,
)
from rrr_assets.calc.prices import PriceList, PricesRefused, parse_prices
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.base import FOR_EVER, TRADES_RETENTION, Retention
from rrr_assets.contracts.cost import COST_TIERS
from rrr_assets.lake.keeping import Hold

TEXT = DEFAULT_PRICES.read_text("utf-8")
PRICES = parse_prices(TEXT, "the default")
OFFER = PRICES.offer
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

sizes = st.integers(0, 10**15)
rates = st.decimals(0, 10**6, places=6, allow_nan=False, allow_infinity=False)
retentions = st.builds(
    lambda hot, warm, more, forever: Retention(hot, hot + warm, None, None if forever else hot + warm + more),
    st.integers(0, 400), st.integers(0, 400), st.integers(0, 4000), st.booleans(),
)  # fmt: skip
flows = st.builds(
    lambda rows, hot, warm, cold, retention, grain: Flow(
        "raw_trades", rows, Density("raw_trades", hot, warm, cold), retention, is_archived=True, grain_days=grain
    ),
    rates, rates, rates, rates, retentions, st.sampled_from([1, 30]),
)  # fmt: skip
holdings = st.builds(
    lambda relation, day, tier, rows, size, objects: Holding(
        relation, day, tier, "objects" if tier in {"copy", "cold", "superseded", "metadata"} else "disk", size, rows, size // 3, objects
    ),
    st.sampled_from(["raw_trades", "bars_1m", "raw_quotes", "coverage"]),
    st.none() | st.dates(date(2024, 1, 1), date(2024, 3, 1)),
    st.sampled_from(TIERS),
    st.none() | st.integers(0, 10**9),
    sizes,
    st.integers(0, 1000),
)  # fmt: skip


def measured(held: Iterable[Holding] = (), left: Iterable[Left] = (), rows: dict[str, int] | None = None, puts: int = 0) -> Measured:
    per_day = {name: Decimal(count) for name, count in (rows or {}).items()}
    return Measured(NOW, "postgresql", tuple(held), tuple(left), per_day, puts)


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1
    return TEXT.replace(old, new, 1)


# --- shares and sums --------------------------------------------------------------------------------------------


@given(st.integers(0, 10**18), st.lists(st.integers(0, 10**12), min_size=1, max_size=40))
def test_shares_add_up_and_none_is_off_by_one(whole: int, weights: list[int]) -> None:
    shares = apportion(whole, weights)
    assert sum(shares) == whole
    if sum(weights):
        assert all(abs(Fraction(whole * weight, sum(weights)) - share) < 1 for weight, share in zip(weights, shares, strict=True))


def test_shares_of_nothing() -> None:
    assert apportion(7, []) == []
    assert apportion(7, [0, 0]) == [0, 7]
    with pytest.raises(ValueError, match="negative"):
        apportion(7, [1, -1])


@given(st.lists(holdings, max_size=30), st.integers(0, 10**6))
def test_the_bill_adds_up_by_table_by_tier_and_by_day(held: list[Holding], puts: int) -> None:
    report = make_report(measured(held, puts=puts), PRICES, "measured")
    for key in (lambda line: line.relation, lambda line: line.tier, lambda line: line.partition_start):
        groups = costs.by(report.lines, key)
        assert total(total(line.monthly_usd for line in mine) for mine in groups.values()) == report.monthly_usd
        assert sum(line.size_bytes for mine in groups.values() for line in mine) == sum(line.size_bytes for line in report.lines)
    for chosen in ("table", "tier", "day"):
        found = cost_tables.breakdown(report, chosen)
        size = sum(sum(found[name].to_pylist()) for name in found.column_names if name in {"size_bytes", "disk_bytes", "archive_bytes"})
        assert size == sum(line.size_bytes for line in report.lines)
        assert abs(total(found["monthly_usd"].to_pylist()) - report.monthly_usd) <= Decimal("1e-12") * len(found)
        assert len(cost_tables.shown(found)) == len(found) + 1
    assert sum(cost_tables.folded(cost_tables.breakdown(report, "table"))["disk_bytes"].to_pylist()) == sum(
        line.size_bytes for line in report.lines if not line.is_in_store
    )


@given(st.lists(holdings, max_size=30), st.integers(0, 10**6))
def test_the_bill_is_exact(held: list[Holding], puts: int) -> None:
    report = make_report(measured(held, puts=puts), PRICES, "measured")
    on_disk = sum(each.size_bytes for each in held if each.place == "disk")
    kind = OFFER.objects_used
    # Ceiling division by what a GiB holds at the least: fill_percent of it.
    gib = max(-(-on_disk * 100 // (OFFER.disk.fill_percent * GIB)), OFFER.disk.least_gib)
    expected = gib * Fraction(OFFER.disk.usd_per_gib_month)
    expected += Fraction(sum(each.size_bytes for each in held if each.place == "objects"), GIB) * Fraction(kind.usd_per_gib_month)
    expected += puts * (Fraction(kind.usd_per_1000_puts) + Fraction(kind.usd_per_1000_gets)) / 1000
    expected += Fraction(OFFER.machines[0].usd_per_hour) * 730
    assert Fraction(report.monthly_usd) == expected


def test_rows_count_once_though_they_are_in_the_archive_too() -> None:
    day = date(2024, 1, 2)
    held = [
        Holding("raw_trades", day, "hot", "disk", 1000, 10),
        Holding("raw_trades", day, "copy", "objects", 100, 10, objects=1),
        Holding("raw_trades", date(2024, 1, 1), "cold", "objects", 90, 9, objects=1),
        Holding("coverage", None, "other", "disk", 10, 4),
    ]
    report = make_report(measured(held), PRICES, "measured")
    [trades] = [row for row in cost_tables.breakdown(report, "table").to_pylist() if row["table"] == "raw_trades"]
    assert (trades["row_count"], trades["disk_bytes"], trades["archive_bytes"]) == (19, 1000, 190)
    assert trades["tiers"] == "hot, cold, copy"
    for chosen in ("table", "tier", "day"):
        assert cost_tables.shown(cost_tables.breakdown(report, chosen)).to_pylist()[-1]["rows"] == "19"


# --- bytes a row ------------------------------------------------------------------------------------------------


def test_bytes_a_row_of_each_tier_and_what_was_hot_before() -> None:
    day = date(2024, 1, 2)
    held = [
        Holding("raw_trades", day, "warm", "disk", 150, 10),
        Holding("raw_trades", day, "copy", "objects", 60, 10),
        Holding("raw_trades", date(2024, 1, 1), "cold", "objects", 40, 10),
        Holding("raw_quotes", day, "hot", "disk", 8192, 0),
    ]
    [found] = costs.densities(measured(held, [Left("raw_trades", day, "warm", 10, 2000)]), {})
    assert (found.hot, found.warm, found.cold) == (200, 15, 5)
    assert (found.ratio("warm"), found.ratio("cold")) == (Decimal("13.33"), 40)
    # Of so few rows nothing is taken where a reference is there.
    [few] = costs.densities(measured(held), {"raw_trades": {"hot": Decimal(223)}}, least_rows=11)
    assert (few.hot, few.warm, few.cold, few.measured) == (223, None, 5, {"cold"})


# --- what stands after a time -----------------------------------------------------------------------------------


def test_what_stands_of_trades_after_seven_years() -> None:
    flow = Flow(
        "raw_trades", Decimal(1000), Density("raw_trades", Decimal(200), Decimal(15), Decimal(5)), TRADES_RETENTION, is_archived=True
    )
    at = standing(flow, 7 * 365)
    assert at == Standing(
        hot=Decimal(7 * 200_000), warm=Decimal(23 * 15_000), copy=Decimal(30 * 5000), cold=Decimal(1065 * 5000), objects=Decimal(1095)
    )
    assert standing(flow, 7 * 365, ()) == Standing(hot=Decimal(7 * 365 * 200_000))
    assert standing(flow, 7 * 365, ("warm",)) == Standing(hot=Decimal(7 * 200_000), warm=Decimal((7 * 365 - 7) * 15_000))
    assert standing(flow, 3) == Standing(hot=Decimal(3 * 200_000), copy=Decimal(3 * 5000), objects=Decimal(3))
    # What nothing archives stays where it is, whatever its contract asks for.
    assert standing(replace(flow, is_archived=False), 365) == Standing(hot=Decimal(365 * 200_000))
    assert standing(replace(flow, retention=FOR_EVER), 365) == Standing(hot=Decimal(365 * 200_000))


@given(flows, st.integers(0, 5000), st.integers(0, 5000))
def test_every_day_is_in_one_tier_and_more_days_are_no_less(flow: Flow, days: int, more: int) -> None:
    one = Decimal(1)
    counted = replace(flow, rows_per_day=one, density=Density("raw_trades", one, one, one))
    at = standing(counted, days)
    kept = days if flow.retention.delete_after_days is None else min(days, flow.retention.delete_after_days)
    assert at.hot + at.warm + at.cold == kept
    assert at.copy == at.hot + at.warm
    before, after = standing(flow, days), standing(flow, days + more)
    assert all(getattr(after, name) >= getattr(before, name) for name in ("hot", "warm", "copy", "cold", "objects"))


@given(flows)
def test_the_savings_of_the_rules_add_up(flow: Flow) -> None:
    told = saving(flow, PRICES, Decimal(0))
    assert list(told.by_rule) == list(RULES)
    difference = Fraction(told.all_hot) - Fraction(told.with_delete) - sum(map(Fraction, told.by_rule.values()))
    assert abs(difference) < Fraction(1, 10**300)
    assert told.all_hot == storage_cost(standing(flow, told.days, ()), OFFER)
    assert told.days >= (flow.retention.delete_after_days or 0)


@given(st.lists(flows, max_size=3), rates, st.sampled_from(PRICES.offers))
def test_forecasts_only_grow(chosen: list[Flow], beside: Decimal, offer: object) -> None:
    around = Around({"landing zone": beside}, {"write-ahead log": Decimal(10**6)}, Decimal("0.5"))
    made = {(factor, years): forecast(chosen, around, PRICES, offer, factor, years) for factor in FACTORS for years in YEARS}
    for (factor, years), each in made.items():
        assert each.monthly_usd == total(each.usd.values())
        assert each.disk_gib * GIB >= sum(size for name, size in each.bytes_of.items() if name not in {"copy", "cold"}) - len(each.bytes_of)
        for (other_factor, other_years), other in made.items():
            if other_factor >= factor and other_years >= years:
                assert other.monthly_usd >= each.monthly_usd
                assert other.without_rules_usd >= each.without_rules_usd
                assert all(other.bytes_of[name] >= size for name, size in each.bytes_of.items())


@pytest.mark.parametrize(("factor", "years"), [(0, 1), (1, -1)])
def test_no_forecast_of_less_than_now(factor: int, years: int) -> None:
    with pytest.raises(ValueError, match="no forecast"):
        forecast([], Around(), PRICES, OFFER, factor, years)


def test_nothing_costs_its_machine_and_the_least_disk() -> None:
    report = make_report(measured(), PRICES, "measured")
    assert report.monthly_usd == Decimal("0.0816") * 730 + 20 * Decimal("0.08")
    assert (report.densities, report.flows, report.savings, report.verdicts) == ((), (), (), ())
    empty = forecast([], Around(), PRICES, OFFER, 100, 7)
    assert empty.monthly_usd == report.monthly_usd
    assert all(size == 0 for size in empty.bytes_of.values())


def test_a_disk_is_had_in_whole_gib_with_room_left() -> None:
    assert disk_gib(Decimal(0), OFFER) == 20
    assert disk_gib(Decimal(70 * GIB), OFFER) == 100
    assert disk_gib(Decimal(70 * GIB + 1), OFFER) == 101


def test_machines_come_in_steps_and_several_where_none_holds_it() -> None:
    sizing = PRICES.sizing

    def machine(rows: int, hot_gib: int) -> tuple[str, int, bool]:
        found, count, fits = machine_for(Decimal(rows), Decimal(hot_gib * GIB), sizing, OFFER)
        return found.name, count, fits

    assert machine(0, 0) == ("m7g.large", 1, True)
    assert machine(0, 17) == ("r7g.large", 1, True)
    # 4 times the mean of a day must not pass 15,000 rows a second on each of 2 CPUs.
    assert machine(86_400 * 7500, 0) == ("m7g.large", 1, True)
    assert machine(86_400 * 7501, 0) == ("r7g.xlarge", 1, True)
    assert machine(0, 2 * 512 * 3) == ("r7g.16xlarge", 3, False)


def test_the_former_volumes_are_forecast_where_nothing_was_measured_and_the_targets_are_judged() -> None:
    report = make_report(measured(), PRICES, "legacy")
    assert {flow.relation: int(flow.rows_per_day) for flow in report.flows} == dict(costs.LEGACY_ROWS)
    per_minute = {flow.relation: flow for flow in report.flows if flow.rows_per_day == 14_400}
    assert set(per_minute) == {"bars_1m", "features_1m", "tick_minutes"}
    assert (per_minute["features_1m"].density.hot, per_minute["tick_minutes"].density.cold) == (Decimal(407), Decimal(50))
    assert all(flow.density.hot and flow.density.cold and not flow.density.measured for flow in report.flows)
    assert len(report.forecasts) == len(PRICES.offers) * len(FACTORS) * len(YEARS)
    first, second = report.verdicts
    assert (first.name, first.factor, first.target_usd, second.target_usd) == ("phase 2", 100, 3000, 8000)
    dearest = max(each.monthly_usd for each in report.forecasts if each.offer == "ec2" and each.factor == 100)
    assert first.monthly_usd == second.monthly_usd == dearest
    # At exactly its price a target is not met: less was asked for.
    assert not replace(first, target_usd=dearest).is_met
    dear = parse_prices(changed("monthly_usd: 3000", "monthly_usd: 1"), "test")
    told = cost_tables.verdict_texts(make_report(measured(), dear, "legacy"))
    assert told[0].startswith("phase 2: NOT met")
    assert told[1].startswith("phase 3: met")


def test_small_objects_are_charged_as_large_ones_where_the_class_says_so() -> None:
    held = [Holding("raw_trades", date(2024, 1, 2), "cold", "objects", 1000, 10, objects=8)]
    classes = make_report(measured(held), PRICES, "measured").classes
    assert Fraction(classes["standard"]) == Fraction(1000, GIB) * Fraction("0.023")
    assert Fraction(classes["standard_ia"]) == Fraction(8 * 131072, GIB) * Fraction("0.0125")
    assert not [line for line in cost_tables.remarks(make_report(measured(held), PRICES, "measured")) if "priced as" in line]
    large = [replace(held[0], size_bytes=10**12)]
    [told] = [line for line in cost_tables.remarks(make_report(measured(large), PRICES, "measured")) if "priced as" in line]
    assert told.startswith("The archive is priced as standard, 21.42 USD a month; as standard_ia 11.64, glacier_instant 3.73, ")


def test_the_tiers_are_those_of_the_history() -> None:
    assert TIERS == COST_TIERS
    assert set(KEPT) < set(TIERS)
    assert set(costs.LEGACY_ROWS) <= set(ARCHIVED)


# --- the list ---------------------------------------------------------------------------------------------------


def test_the_default_list_is_read_exactly() -> None:
    assert PRICES.as_of <= NOW.date()
    assert (OFFER.disk.usd_per_gib_month, OFFER.objects_used.usd_per_gib_month) == (Decimal("0.08"), Decimal("0.023"))
    assert all(offer.source.strip() for offer in PRICES.offers)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("monthly_budget_usd: 500", "monthly_budget_usd: lots", "monthly_budget_usd: "),
        ("monthly_budget_usd: 500", "monthly_budget_usd: -1", "monthly_budget_usd: "),
        ("monthly_budget_usd: 500", "monthly_budget_usd: .nan", "monthly_budget_usd: "),
        ("monthly_budget_usd: 500\n", "", "monthly_budget_usd: Field required"),
        ("region: us-east-1", "region: us-east-1\nregoin: eu", "regoin: "),
        ("usd_per_hour: 0.2142", "usd_per_hour: 9", "offers.0: machines must stand"),
        ("usd_per_hour: 0.2142", "usd_per_hours: 0.2", "offers.0.machines.2.usd_per_hour: Field required"),
        ("object_class: standard", "object_class: glacier", "offers.0: object_class glacier is none of"),
        ("fill_percent: 70", "fill_percent: 0", "offers.0.disk.fill_percent: "),
        ("name: vendor's cloud", "name: ec2", "two offers have one name"),
        ("as_of: 2026-11-01", "as_of: last autumn", "as_of: "),
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused_by_the_name_of_its_field(old: str, new: str, told: str) -> None:
    with pytest.raises(PricesRefused) as refused:
        parse_prices(changed(old, new), "mine.yaml")
    assert str(refused.value).startswith("mine.yaml cannot be used: ")
    assert told in str(refused.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "!!python/object/apply:os.system ['false']"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(PricesRefused):
        parse_prices(text, "mine.yaml")


def test_the_environment_names_another_list(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(changed("monthly_budget_usd: 500", "monthly_budget_usd: 0.1"))
    monkeypatch.setenv("RRR_PRICES", str(path))
    assert current_prices().monthly_budget_usd == Decimal("0.1")
    assert not make_report(measured(), current_prices(), "measured").is_within_budget
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PricesRefused, match="not UTF-8"):
        current_prices()
    path.unlink()
    with pytest.raises(PricesRefused, match=r"RRR_PRICES .* cannot be read"):
        current_prices()
    monkeypatch.delenv("RRR_PRICES")
    assert current_prices() == PRICES


# --- what is shown ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536, "1.50 KiB"), (123_456_789, "118 MiB"), (5 * 1024**6, "5120 PiB")],
)
def test_bytes_for_a_person(size: int, text: str) -> None:
    assert cost_tables.size_text(size) == text


@pytest.mark.parametrize(("usd", "text"), [("0", "0"), ("0.004", "<0.01"), ("-0.004", ">-0.01"), ("0.005", "0.01"), ("1234.5", "1,234.50")])
def test_money_for_a_person(usd: str, text: str) -> None:
    assert cost_tables.usd_text(Decimal(usd)) == text


def every_value(told: object) -> Iterable[object]:
    if isinstance(told, dict):
        for value in told.values():
            yield from every_value(value)
    elif isinstance(told, list | tuple):
        for value in told:
            yield from every_value(value)
    else:
        yield told


def full_report(prices: PriceList = PRICES) -> costs.Report:
    first = date(2024, 1, 1)
    held = [Holding("raw_trades", first + timedelta(days=n), "hot", "disk", 20_000_000, 90_000, 9_000_000) for n in range(9)]
    held += [Holding("raw_trades", first + timedelta(days=n), "copy", "objects", 500_000, 90_000, objects=1) for n in range(9)]
    held += [Holding("bars_1m", first, "hot", "disk", 4_000_001, 15_000, 1_000_000, basis="by rows")]
    held += [Holding("landing zone", None, "other", "disk", 18_000_000), Holding("backups", None, "other", "disk", 90_000_000)]
    return make_report(measured(held, rows={"raw_trades": 90_000, "bars_1m": 15_000}, puts=72), prices, "measured")


def test_a_program_gets_no_float_and_the_same_sums() -> None:
    report = full_report()
    told = cost_tables.as_object(report)
    assert not [value for value in every_value(told) if isinstance(value, float)]
    assert {type(value) for value in every_value(told)} <= {str, int, bool, type(None)}
    for chosen in ("table", "tier", "day"):
        assert abs(total(Decimal(row["monthly_usd"]) for row in told[f"by_{chosen}"]) - report.monthly_usd) < Decimal("1e-9")
    assert told["is_within_budget"] is True
    # Backups grow with the database: 90 MB for 184 MB of it.
    [far] = [each for each in told["forecasts"] if (each["offer"], each["factor"], each["years"]) == ("ec2", 100, 7)]
    assert abs(far["bytes"]["backups"] * 184_000_001 - (far["bytes"]["hot"] + far["bytes"]["warm"]) * 90_000_000) < 10**9


def test_markdown_and_pictures() -> None:
    report = full_report()
    found = cost_tables.forecasts(report, "ec2")
    assert cost_tables.markdown(found).count("\n") == len(found) + 1
    assert "~3.81 MiB" in cost_tables.markdown(cost_tables.shown(cost_tables.breakdown(report, "table")))
    for told in (report, make_report(measured(), PRICES, "measured")):
        for small in (True, False):
            assert cost_png(told, small=small).startswith(b"\x89PNG")


def test_a_hold_costs_what_it_covers_and_what_retention_would_have_taken_is_told_apart() -> None:
    old, young = date(2026, 1, 1), date(2026, 11, 27)
    held = [
        Holding("raw_trades", old, "hot", "disk", 1000, 10), Holding("raw_trades", young, "hot", "disk", 200, 2),
        Holding("raw_trades", old, "copy", "objects", 50, 10, objects=1),
        Holding("raw_trades", old, "superseded", "objects", 40, objects=1),
        Holding("raw_trades", old, "metadata", "objects", 9, objects=1), Holding("trade_revisions", old, "hot", "disk", 7, 1),
        Holding("bars_1m", date(2026, 1, 1), "hot", "disk", 3, 1), Holding("raw_trades", None, "hot", "disk", 5, 0),
    ]  # fmt: skip
    lines = make_report(measured(held), PRICES, "measured").lines
    usd = {(line.relation, line.partition_start, line.tier): line.monthly_usd for line in lines}

    trades = cost_of(Hold("h", "raw_trades", None, None), lines, NOW.date())
    overdue = usd["raw_trades", old, "hot"] + usd["raw_trades", old, "superseded"] + usd["trade_revisions", old, "hot"]
    assert (trades.disk_bytes, trades.archive_bytes) == (1207, 90)
    assert trades.overdue_usd == overdue
    assert trades.monthly_usd == overdue + usd["raw_trades", young, "hot"] + usd["raw_trades", old, "copy"]
    days = cost_of(Hold("h", None, young, None), lines, NOW.date())
    assert (days.disk_bytes, days.archive_bytes, days.overdue_usd) == (200, 0, 0)
