"""What is kept costs: what it costs now, what each rule of retention saves, and what it will cost at ten and a hundred times the volume.

Belongs here: arithmetic on bytes, rows and prices. Does not: measuring (archive/costs.py), the price list (prices.py), printing.
Money is exact: nothing is rounded until it is printed, so that the lines of a report add up to its total whichever way they are grouped.
Disk is charged as it must be had: what is kept, the room that is left free beside it, whole GiB.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise
from typing import Final, Literal

from rrr_assets.calc.numbers import EXACT
from rrr_assets.calc.prices import Machine, Offer, PriceList, Sizing
from rrr_assets.contracts.archive import ARCHIVED
from rrr_assets.contracts.base import Retention

Place = Literal["disk", "objects"]
"""Where something is kept: on block storage, or in the object store."""

Basis = Literal["measured", "by rows", "estimated"]
"""How a part's bytes are known: measured; a share of what was measured, by counted rows; the same by rows that were estimated."""

Base = Literal["measured", "legacy"]

KEPT: Final = ("hot", "warm", "cold")
"""The tiers whose rows are all rows, once. `copy` is the archive of what is hot or warm."""

TIERS: Final = (*KEPT, "copy", "superseded", "metadata", "other")
RULES: Final = ("warm", "cold", "delete")
"""The rules of retention in the order in which a row meets them."""

GIB: Final = 1 << 30
YEARS: Final = (1, 3, 7)
FACTORS: Final = (1, 10, 100)
DAYS_OF_YEAR: Final = 365
DAYS_OF_MONTH: Final = Decimal(DAYS_OF_YEAR) / 12
_SECONDS_OF_DAY: Final = 86_400
_ZERO: Final = Decimal(0)

ENOUGH_ROWS: Final = 10_000
"""Of fewer rows, bytes a row say more of a page's size than of a row's: then the reference figures stand in."""

METADATA_OBJECTS: Final = 3
"""Objects that exchanging a partition's files writes beside them: the table's metadata, a list of manifests, a manifest."""

LEGACY_ROWS: Final[Mapping[str, int]] = {
    "raw_trades": 500_000, "raw_quotes": 200_000, "bars_1m": 14_400, "bars_5m": 2_880, "bars_1h": 240, "bars_1d": 10,
    "features_1m": 14_400, "tick_minutes": 14_400,
}  # fmt: skip
"""Rows a day of the desk's former system; its aggregates are our 1-minute bars, and the rest follows from them: longer bars, and a row
of features and of its ticks for each minute."""


LANDING: Final = "landing zone"
LEDGERS: Final = "ledgers"
BACKUPS: Final = "backups"
WAL: Final = "write-ahead log"
DAGSTER: Final = "Dagster's database"
LOGS: Final = "logs of runs"
CATALOGUES: Final = "catalogues and the rest"
FREE_DISK: Final = "room left free on disk"
SERVICES: Final = (WAL, DAGSTER, LOGS, CATALOGUES)
"""What does not grow with the rows that come in, and is taken as it is."""

_TICKS: Final = tuple(name for name, archived in ARCHIVED.items() if archived.stream is not None and archived.grain == "day")

_BAR: Final = {"hot": Decimal(240), "cold": Decimal(72)}
_FEATURES: Final = {"hot": Decimal(407), "cold": Decimal(201)}
_MINUTES: Final = {"hot": Decimal(192), "cold": Decimal(50)}
REFERENCE: Final[Mapping[str, Mapping[str, Decimal]]] = {
    "raw_trades": {"hot": Decimal(230), "cold": Decimal("5.6")},
    "raw_quotes": {"hot": Decimal(220), "cold": Decimal("12.3")},
    "bars_1m": _BAR, "bars_5m": _BAR, "bars_1h": _BAR, "bars_1d": _BAR,
    "features_1m": _FEATURES, "feature_revisions_1m": _FEATURES, "tick_minutes": _MINUTES,
}  # fmt: skip
"""Bytes a row where too few were measured: docs/cost.md says how each came about."""

_BARS: Final = ("bars_1m", "bars_5m", "bars_1h", "bars_1d")
COLUMNSTORE: Final[Mapping[str, Decimal]] = {
    "raw_trades": Decimal("20.2"), "raw_quotes": Decimal("33.3"), **dict.fromkeys(_BARS, Decimal(75)),
    # Features lie in no chunks there: a warm row is as large as a hot one.
    "features_1m": _FEATURES["hot"], "feature_revisions_1m": _FEATURES["hot"], "tick_minutes": _MINUTES["hot"],
}  # fmt: skip
"""The same in the warm tier of TimescaleDB. On plain PostgreSQL a warm row is as large as a hot one."""

REFERENCE_LANDING: Final = Decimal(23)
"""Bytes in the landing zone for each row of ticks."""

REFERENCE_LEDGERS: Final = Decimal(8)
"""Bytes of ledgers for each row of ticks."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is kept of a partition in one tier. `rows` is None where nothing says how many; `objects` counts files in the object store."""

    relation: str
    partition_start: date | None
    tier: str
    place: Place
    size_bytes: int
    rows: int | None = None
    index_bytes: int = 0
    objects: int = 0
    basis: Basis = "measured"


@dataclass(frozen=True, slots=True)
class Left:
    """A partition that left the hot tier: what it took while it was hot."""

    relation: str
    partition_start: date
    tier: str
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a platform. `rows_per_day` is of the days that have rows; `puts` are requests of the last 30 days."""

    at: datetime
    engine: str
    holdings: tuple[Holding, ...]
    left: tuple[Left, ...]
    rows_per_day: Mapping[str, Decimal]
    puts: int
    not_measured: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A part of the bill. `is_in_store` says that it lies in the object store, and not on disk."""

    relation: str
    partition_start: date | None
    tier: str
    rows: int | None
    size_bytes: int
    index_bytes: int
    monthly_usd: Decimal
    basis: Basis
    is_in_store: bool = False


@dataclass(frozen=True, slots=True)
class Density:
    """Bytes a row of a table in each tier, each with whether it was measured here; None where it is not known."""

    relation: str
    hot: Decimal | None
    warm: Decimal | None
    cold: Decimal | None
    measured: frozenset[str] = frozenset()

    def ratio(self, tier: str) -> Decimal | None:
        """How many times smaller than in the hot tier a row is."""
        smaller = self.warm if tier == "warm" else self.cold
        if self.hot is None or not smaller:
            return None
        with localcontext(EXACT):
            return (self.hot / smaller).quantize(Decimal("0.01"), ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class Flow:
    """What comes in of a table each day, what a row of it takes, and how long it is kept where. `grain_days` is a partition's length."""

    relation: str
    rows_per_day: Decimal
    density: Density
    retention: Retention
    is_archived: bool
    grain_days: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of something after a time: bytes in each tier, and how many objects."""

    hot: Decimal = _ZERO
    warm: Decimal = _ZERO
    copy: Decimal = _ZERO
    cold: Decimal = _ZERO
    objects: Decimal = _ZERO

    @property
    def disk(self) -> Decimal:
        """Bytes in the database."""
        return self.hot + self.warm


@dataclass(frozen=True, slots=True)
class Around:
    """What is kept beside the tables with rows of their own time.

    `per_day` bytes come each day, by name, and no rule takes them away; `steady` bytes are what they are. `backup_ratio` is bytes of
    backups for each byte in the database.
    """

    per_day: Mapping[str, Decimal] = field(default_factory=dict)
    steady: Mapping[str, Decimal] = field(default_factory=dict)
    backup_ratio: Decimal = _ZERO


@dataclass(frozen=True, slots=True)
class Saving:
    """What a table's retention saves a month, once it has run its course: the cost with no rule, and after each, one after the other."""

    relation: str
    days: int
    now: Decimal
    all_hot: Decimal
    with_warm: Decimal
    with_cold: Decimal
    with_delete: Decimal

    @property
    def by_rule(self) -> Mapping[str, Decimal]:
        """What each rule saves on top of those before it; less than nothing where it costs more."""
        costs = (self.all_hot, self.with_warm, self.with_cold, self.with_delete)
        with localcontext(EXACT):
            return dict(zip(RULES, (before - after for before, after in pairwise(costs)), strict=True))


@dataclass(frozen=True, slots=True)
class Forecast:
    """A month so many years on, at so many times the volume. Bytes are rounded; `usd` is by what is charged."""

    offer: str
    factor: int
    years: int
    bytes_of: Mapping[str, int]
    disk_gib: int
    machine: str
    machines: int
    fits: bool
    usd: Mapping[str, Decimal]
    without_rules_usd: Decimal

    @property
    def monthly_usd(self) -> Decimal:
        """All of it."""
        return total(self.usd.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a target is met: what the dearest of the forecast years costs at its factor."""

    name: str
    factor: int
    target_usd: Decimal
    years: int
    monthly_usd: Decimal

    @property
    def is_met(self) -> bool:
        """Whether it costs less."""
        return self.monthly_usd < self.target_usd


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told. Money is in USD a month by the first offer of the list; forecasts are by each."""

    measured: Measured
    prices: PriceList
    base: Base
    lines: tuple[Line, ...]
    densities: tuple[Density, ...]
    flows: tuple[Flow, ...]
    savings: tuple[Saving, ...]
    forecasts: tuple[Forecast, ...]
    verdicts: tuple[Verdict, ...]
    classes: Mapping[str, Decimal]

    @property
    def monthly_usd(self) -> Decimal:
        """The whole bill."""
        return total(line.monthly_usd for line in self.lines)

    @property
    def is_within_budget(self) -> bool:
        """Whether the bill is no larger than the list's budget."""
        return self.monthly_usd <= self.prices.monthly_budget_usd


def make_report(measured: Measured, prices: PriceList, base: Base) -> Report:
    """All of the report from what was measured.

    Args:
        measured: what is kept, and what comes in.
        prices: the list.
        base: whether the forecast is of the rows that come in here, or of those of the desk's former system.
    """
    told = lines(measured, prices)
    known = {each.relation: each for each in densities(measured, _reference(measured.engine), ENOUGH_ROWS)}
    per_day = measured.rows_per_day if base == "measured" else {name: Decimal(count) for name, count in LEGACY_ROWS.items()}
    flows = tuple(_flow(name, rows, known) for name, rows in per_day.items())
    around = _around(measured, per_day)
    costs_now = {name: total(line.monthly_usd for line in mine) for name, mine in by(told, lambda line: line.relation).items()}
    forecasts = tuple(
        forecast(flows, around, prices, offer, factor, years) for offer in prices.offers for factor in _factors(prices) for years in YEARS
    )
    return Report(
        measured=measured,
        prices=prices,
        base=base,
        lines=told,
        densities=densities(measured, {}),
        flows=flows,
        savings=tuple(saving(flow, prices, costs_now.get(flow.relation, _ZERO)) for flow in flows),
        forecasts=forecasts,
        # Where nothing comes in, a target says nothing.
        verdicts=verdicts(prices, forecasts) if flows else (),
        classes=other_classes(measured, prices),
    )


def _factors(prices: PriceList) -> list[int]:
    return sorted({*FACTORS, *(target.factor for target in prices.targets)})


def _reference(engine: str) -> dict[str, dict[str, Decimal]]:
    warm = COLUMNSTORE if engine == "timescaledb" else {}
    return {name: {**known, **({"warm": warm[name]} if name in warm else {})} for name, known in REFERENCE.items()}


def _flow(name: str, rows_per_day: Decimal, known: Mapping[str, Density]) -> Flow:
    """A table of which too few rows were measured is taken to be as the one of its kind that is known."""
    archived = ARCHIVED[name]
    like = "raw_trades" if archived.grain == "day" else "bars_1m"
    density = known.get(name, Density(name, None, None, None))
    stand_in = known[like]
    filled = Density(
        name,
        stand_in.hot if density.hot is None else density.hot,
        # What was measured hot and never warm is no smaller there by another table's figures than by its own.
        density.warm if density.warm is not None or "hot" in density.measured else stand_in.warm,
        stand_in.cold if density.cold is None else density.cold,
        density.measured,
    )
    return Flow(name, rows_per_day, filled, archived.table.retention, is_archived=True, grain_days=1 if archived.grain == "day" else 30)


def _around(measured: Measured, per_day: Mapping[str, Decimal]) -> Around:
    """What is kept beside: the landing zone and the ledgers grow with the rows of ticks, the rest is taken as it is."""
    held = sum(each.rows or 0 for each in measured.holdings if each.relation in _TICKS and each.tier in KEPT)
    beside = {each.relation: each for each in measured.holdings if each.tier == "other"}
    database = sum(each.size_bytes for each in measured.holdings if each.place == "disk" and each.tier in KEPT)
    services = {LANDING, BACKUPS, *SERVICES}
    ledgers = sum(each.size_bytes for each in beside.values() if each.relation not in services)
    come = total(rows for name, rows in per_day.items() if name in _TICKS)
    is_enough = held >= ENOUGH_ROWS
    with localcontext(EXACT):
        landing = Decimal(beside[LANDING].size_bytes) / held if is_enough and LANDING in beside else REFERENCE_LANDING
        of_ledgers = Decimal(ledgers) / held if is_enough else REFERENCE_LEDGERS
        backed_up = Decimal(beside[BACKUPS].size_bytes) / database if BACKUPS in beside and database else _ZERO
    steady = {name: Decimal(each.size_bytes) for name, each in beside.items() if name in SERVICES}
    return Around({LANDING: landing * come, LEDGERS: of_ledgers * come}, steady, backed_up)


# --- sums and shares --------------------------------------------------------------------------------------------


def total(amounts: Iterable[Decimal]) -> Decimal:
    """A sum that rounds nothing."""
    with localcontext(EXACT):
        return sum(amounts, _ZERO)


def apportion(whole: int, weights: Sequence[int]) -> list[int]:
    """Share a whole number by weights, so that the shares add up to it and none is off by one or more.

    Where all weights are 0 the last takes all; of no weights nothing is made.

    Raises:
        ValueError: a weight is negative.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError("a weight is negative")
    if not weights:
        return []
    of = sum(weights)
    if not of:
        return [0] * (len(weights) - 1) + [whole]
    shares, rests = zip(*(divmod(whole * weight, of) for weight in weights), strict=True)
    given = list(shares)
    for place in sorted(range(len(weights)), key=lambda place: -rests[place])[: whole - sum(shares)]:
        given[place] += 1
    return given


def cents(amount: Decimal) -> Decimal:
    """An amount as it is printed."""
    with localcontext(EXACT):
        return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


# --- what it costs now ------------------------------------------------------------------------------------------


def lines(measured: Measured, prices: PriceList) -> tuple[Line, ...]:
    """The bill of what is kept: a line for each holding, then the room left free on disk, requests, and the machine."""
    offer = prices.offer
    with localcontext(EXACT):
        told = [
            Line(
                each.relation, each.partition_start, each.tier, each.rows, each.size_bytes, each.index_bytes, _cost(each, offer),
                each.basis, is_in_store=each.place == "objects",
            )
            for each in measured.holdings
        ]  # fmt: skip
        on_disk = sum(each.size_bytes for each in measured.holdings if each.place == "disk")
        room = disk_gib(Decimal(on_disk), offer) * GIB - on_disk
        requests = _requests(Decimal(measured.puts), Decimal(measured.puts), offer)
        machine, count, _ = machine_for(_rows(measured.rows_per_day), _hot_day(measured), prices.sizing, offer)
        return (
            *told,
            _service(FREE_DISK, room * offer.disk.usd_per_gib_month / GIB, room),
            _service("requests to the object store", requests),
            _service(f"{count} machine{'s' if count > 1 else ''}, {machine.name}", _of_machine(machine, count, prices.sizing)),
        )


def _service(name: str, usd: Decimal, size_bytes: int = 0) -> Line:
    return Line(name, None, "other", None, size_bytes, 0, usd, "measured")


def _cost(holding: Holding, offer: Offer) -> Decimal:
    if holding.place == "disk":
        return holding.size_bytes * offer.disk.usd_per_gib_month / GIB
    return _kept_objects(Decimal(holding.size_bytes), Decimal(holding.objects), offer, offer.object_class)


def _kept_objects(size_bytes: Decimal, objects: Decimal, offer: Offer, kind: str) -> Decimal:
    """Objects in a class, each at least as large as the class charges."""
    charged = offer.objects[kind]
    return max(size_bytes, objects * charged.least_object_bytes) * charged.usd_per_gib_month / GIB


def _requests(puts: Decimal, gets: Decimal, offer: Offer) -> Decimal:
    charged = offer.objects_used
    return (puts * charged.usd_per_1000_puts + gets * charged.usd_per_1000_gets) / 1000


def _of_machine(machine: Machine, count: int, sizing: Sizing) -> Decimal:
    return machine.usd_per_hour * sizing.hours_per_month * count


def disk_gib(size_bytes: Decimal, offer: Offer) -> int:
    """Whole GiB of disk that must be had to keep so many bytes."""
    with localcontext(EXACT):
        needed = (size_bytes * 100 / (offer.disk.fill_percent * GIB)).to_integral_value(ROUND_CEILING)
        return max(int(needed), offer.disk.least_gib)


def machine_for(rows_per_day: Decimal, hot_day_bytes: Decimal, sizing: Sizing, offer: Offer) -> tuple[Machine, int, bool]:
    """The cheapest machine for a volume, how many, and whether one holds it; where none does, as many of the largest as are needed."""
    with localcontext(EXACT):
        vcpu = rows_per_day * sizing.peak_factor / (_SECONDS_OF_DAY * sizing.rows_per_second_per_vcpu)
        memory = hot_day_bytes * sizing.memory_percent_of_hot_day / (100 * GIB)
        for machine in offer.machines:
            if machine.vcpu >= vcpu and machine.memory_gib >= memory:
                return machine, sizing.machines, True
        largest = offer.machines[-1]
        needed = max(vcpu / largest.vcpu, memory / largest.memory_gib).to_integral_value(ROUND_CEILING)
        return largest, int(needed) * sizing.machines, False


def _rows(rows_per_day: Mapping[str, Decimal]) -> Decimal:
    return total(rows_per_day.values())


def _hot_day(measured: Measured) -> Decimal:
    """Bytes that the rows of one day take while they are hot."""
    found = {each.relation: each.hot for each in densities(measured, {})}
    return total(rows * (found.get(name) or _ZERO) for name, rows in measured.rows_per_day.items())


def by(told: Iterable[Line], key: Callable[[Line], object]) -> dict[object, list[Line]]:
    """Lines in groups, in the order of their first."""
    groups: dict[object, list[Line]] = {}
    for line in told:
        groups.setdefault(key(line), []).append(line)
    return groups


def other_classes(measured: Measured, prices: PriceList) -> dict[str, Decimal]:
    """What all that is in the object store would cost a month in each storage class, requests left aside."""
    offer = prices.offer
    with localcontext(EXACT):
        return {
            kind: sum(
                (
                    _kept_objects(Decimal(each.size_bytes), Decimal(each.objects), offer, kind)
                    for each in measured.holdings
                    if each.place == "objects"
                ),
                _ZERO,
            )
            for kind in offer.objects
        }


# --- bytes a row ------------------------------------------------------------------------------------------------


def densities(measured: Measured, reference: Mapping[str, Mapping[str, Decimal]], least_rows: int = 1) -> tuple[Density, ...]:
    """Bytes a row of every table in each tier.

    Args:
        measured: hot from what is hot and from what left the hot tier, warm from what is warm, cold from the archive's current files.
        reference: bytes a row by table and tier, for what was not measured here.
        least_rows: measured of fewer rows than this, a figure is not taken.
    """
    bytes_of: dict[tuple[str, str], int] = {}
    rows_of: dict[tuple[str, str], int] = {}
    parts = [(each.relation, "cold" if each.tier == "copy" else each.tier, each.rows, each.size_bytes) for each in measured.holdings]
    # What is warm was hot: its size then is known.
    parts += [(each.relation, "hot", each.rows, each.size_bytes) for each in measured.left]
    for relation, tier, rows, size in parts:
        if rows and tier in KEPT:
            bytes_of[relation, tier] = bytes_of.get((relation, tier), 0) + size
            rows_of[relation, tier] = rows_of.get((relation, tier), 0) + rows
    found = []
    with localcontext(EXACT):
        for relation in sorted({name for name, _ in rows_of} | set(reference)):
            told = {
                tier: Decimal(bytes_of[relation, tier]) / rows_of[relation, tier]
                for tier in KEPT
                if rows_of.get((relation, tier), 0) >= least_rows
            }
            known = {**reference.get(relation, {}), **told}
            found.append(Density(relation, known.get("hot"), known.get("warm"), known.get("cold"), frozenset(told)))
    return tuple(found)


# --- what will stand --------------------------------------------------------------------------------------------


def standing(flow: Flow, days: int, rules: Iterable[str] = RULES) -> Standing:
    """What stands of a table after so many days at one volume, with some rules of its retention.

    Without the rule `cold` there is no archive. With it, what is still on disk is in the archive too: a drop needs its proof.
    """
    chosen = set(rules) if flow.is_archived else set()
    keep = flow.retention
    kept = _least(days, keep.delete_after_days if "delete" in chosen else None)
    on_disk = _least(kept, keep.warm_days if "cold" in chosen else None)
    hot = _least(on_disk, keep.hot_days if "warm" in chosen else None)
    is_in_archive = "cold" in chosen and keep.warm_days is not None
    density = flow.density
    with localcontext(EXACT):
        hot_row = density.hot or _ZERO
        warm_row = hot_row if density.warm is None else density.warm
        cold_row = (hot_row if density.cold is None else density.cold) if is_in_archive else _ZERO
        partitions = (Decimal(kept) / flow.grain_days).to_integral_value(ROUND_CEILING) if is_in_archive and flow.rows_per_day else _ZERO
        return Standing(
            hot=flow.rows_per_day * hot * hot_row,
            warm=flow.rows_per_day * (on_disk - hot) * warm_row,
            copy=flow.rows_per_day * on_disk * cold_row,
            cold=flow.rows_per_day * (kept - on_disk) * cold_row,
            objects=partitions,
        )


def _least(days: int, limit: int | None) -> int:
    return days if limit is None else min(days, limit)


def storage_cost(stands: Standing, offer: Offer) -> Decimal:
    """What it costs a month to keep, with the room that must be left free beside it, in no whole GiB: it is a part of a disk."""
    with localcontext(EXACT):
        # Rounded once, at the end: a share of a percent need not be a finite decimal.
        on_disk = stands.disk * offer.disk.usd_per_gib_month * 100 / (offer.disk.fill_percent * GIB)
        return on_disk + _kept_objects(stands.copy + stands.cold, stands.objects, offer, offer.object_class)


def saving(flow: Flow, prices: PriceList, now: Decimal, years: int = max(YEARS)) -> Saving:
    """What each rule of a table saves a month when it has run its course, against keeping everything hot for so many years.

    Args:
        flow: the table.
        prices: the list.
        now: what the table costs today.
        years: how long everything would have been kept; longer where the last rule acts later.
    """
    days = max(years * DAYS_OF_YEAR, flow.retention.delete_after_days or 0)
    costs = [storage_cost(standing(flow, days, RULES[:count]), prices.offer) for count in range(len(RULES) + 1)]
    return Saving(flow.relation, days, now, *costs)


def forecast(flows: Sequence[Flow], around: Around, prices: PriceList, offer: Offer, factor: int, years: int) -> Forecast:
    """A month so many years on, if each day had brought so many times the rows of today, and retention had done its work.

    Raises:
        ValueError: the factor is less than 1, or the years are less than 0.
    """
    if factor < 1 or years < 0:
        raise ValueError(f"no forecast at {factor} times the volume after {years} years")
    days = years * DAYS_OF_YEAR
    grown = [replace(flow, rows_per_day=flow.rows_per_day * factor) for flow in flows]
    with localcontext(EXACT):
        rows = total(flow.rows_per_day for flow in grown)
        hot_day = total(flow.rows_per_day * (flow.density.hot or _ZERO) for flow in grown)
        machine, count, fits = machine_for(rows, hot_day, prices.sizing, offer)
        compute = _of_machine(machine, count, prices.sizing)
        kept = _kept(grown, around, days, factor, RULES)
        gib = disk_gib(_on_disk(kept), offer)
        # A partition is written once, in one file, and read back once; a larger one is still one file.
        puts = total(_exchanges(flow) * (1 + METADATA_OBJECTS) for flow in grown if flow.is_archived and flow.rows_per_day)
        usd = {
            "disk": gib * offer.disk.usd_per_gib_month,
            "objects": _kept_objects(kept["copy"] + kept["cold"], kept["_objects"], offer, offer.object_class),
            "requests": _requests(puts, puts, offer),
            "machine": compute,
        }
        bare = _kept(grown, around, days, factor, ())
        without = disk_gib(_on_disk(bare), offer) * offer.disk.usd_per_gib_month + compute
        sizes = {name: int(size.to_integral_value(ROUND_CEILING)) for name, size in kept.items() if not name.startswith("_")}
    return Forecast(offer.name, factor, years, sizes, gib, machine.name, count, fits, usd, without)


def _kept(flows: Sequence[Flow], around: Around, days: int, factor: int, rules: Sequence[str]) -> dict[str, Decimal]:
    parts = [standing(flow, days, rules) for flow in flows]
    kept = {tier: total(getattr(part, tier) for part in parts) for tier in ("hot", "warm", "copy", "cold")}
    kept |= {name: size * days * factor for name, size in around.per_day.items()}
    kept |= dict(around.steady)
    kept[BACKUPS] = (kept["hot"] + kept["warm"]) * around.backup_ratio
    kept["_objects"] = total(part.objects for part in parts)
    return kept


def _on_disk(kept: Mapping[str, Decimal]) -> Decimal:
    return total(size for name, size in kept.items() if name not in {"copy", "cold", "_objects"})


def _exchanges(flow: Flow) -> Decimal:
    """How many partitions of a table are written a month."""
    return DAYS_OF_MONTH / flow.grain_days


def verdicts(prices: PriceList, forecasts: Iterable[Forecast]) -> tuple[Verdict, ...]:
    """Each target against the dearest year of the forecasts at its factor, by the first offer."""
    told = []
    mine = [each for each in forecasts if each.offer == prices.offer.name]
    for target in prices.targets:
        at_factor = [each for each in mine if each.factor == target.factor]
        if at_factor:
            dearest = max(at_factor, key=lambda each: (each.monthly_usd, -each.years))
            told.append(Verdict(target.name, target.factor, target.monthly_usd, dearest.years, dearest.monthly_usd))
    return tuple(told)
