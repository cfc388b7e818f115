"""The cost report as tables: for people to look at, and exact for programs.

Belongs here: which columns stand in which table, and the words of sums. Does not: what anything costs (calc/costs.py), drawing.
A table for people has texts: bytes in the unit that fits, money to the cent, `<0.01` where a cent is too much.
"""

from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final, Literal

import pyarrow as pa

from rrr_assets.calc.costs import BACKUPS, ENOUGH_ROWS, KEPT, RULES, TIERS, Forecast, Line, Report, Saving, by, cents, total
from rrr_assets.calc.numbers import EXACT, plain

By = Literal["table", "tier", "day"]

WORDS: Final = ("table", "tier", "day or month", "volume", "machine")
"""Columns of words; the others of a table for people are numbers."""

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MONEY: Final = pa.decimal128(38, 12)
_SMALL_PART: Final = 10_000
_SMALL_USD: Final = Decimal("0.005")
_NEEDED: Final = ("hot", "cold")
_TOLD_AS: Final = {"hot": "hot", "cold": "archive"}
_IN_ARCHIVE: Final = ("cold", "copy")
_KEY: Final[dict[By, Callable[[Line], object]]] = {
    "table": lambda line: line.relation,
    "tier": lambda line: line.tier,
    "day": lambda line: line.partition_start,
}
_NAME: Final[dict[By, str]] = {"table": "table", "tier": "tier", "day": "partition_start"}


def size_text(size_bytes: int) -> str:
    """Bytes for a person: three digits and a unit of 1,024.

    >>> size_text(0), size_text(1023), size_text(1536), size_text(123456789)
    ('0 B', '1023 B', '1.50 KiB', '118 MiB')
    """
    unit = 0
    while unit < len(_UNITS) - 1 and size_bytes >= 1024 ** (unit + 1):
        unit += 1
    if unit == 0:
        return f"{size_bytes} B"
    scaled = Decimal(size_bytes) / 1024**unit
    decimals = 2 if scaled < 10 else 1 if scaled < 100 else 0
    return f"{scaled.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)} {_UNITS[unit]}"


def usd_text(amount: Decimal) -> str:
    """Money for a person.

    >>> usd_text(Decimal("1234.567")), usd_text(Decimal("0.0001")), usd_text(Decimal(0)), usd_text(Decimal("-0.001"))
    ('1,234.57', '<0.01', '0', '>-0.01')
    """
    rounded = cents(amount)
    if rounded:
        return f"{rounded:,}"
    return "0" if not amount else "<0.01" if amount > 0 else ">-0.01"


def rate_text(amount: Decimal | None) -> str:
    """Bytes a row, or a ratio, for a person."""
    return "" if amount is None else f"{amount.quantize(Decimal('0.1'), ROUND_HALF_UP):,}"


def breakdown(report: Report, chosen: By) -> pa.Table:
    """Exact numbers of the bill by table, by tier or by partition, the dearest first; by partition in the order of time.

    `row_count` is of hot, warm and cold rows, each once, or by tier of that tier; null where nobody counts. By table and by partition
    `disk_bytes` and `archive_bytes` stand apart, and `index_bytes` is part of the first.
    """
    groups = list(by(report.lines, _KEY[chosen]).items())
    if chosen == "day":
        groups.sort(key=lambda group: str(group[0] or ""))
    elif chosen == "tier":
        groups.sort(key=lambda group: TIERS.index(str(group[0])))
    else:
        groups.sort(key=lambda group: (-total(line.monthly_usd for line in group[1]), str(group[0])))
    columns: dict[str, pa.Array] = {
        _NAME[chosen]: pa.array([key for key, _ in groups], pa.date32() if chosen == "day" else pa.string()),
    }
    if chosen == "table":
        columns["tiers"] = pa.array([", ".join(tier for tier in TIERS if any(line.tier == tier for line in mine)) for _, mine in groups])
    columns["row_count"] = pa.array([_count(mine, chosen) for _, mine in groups], pa.int64())
    if chosen == "tier":
        columns["size_bytes"] = pa.array([sum(line.size_bytes for line in mine) for _, mine in groups], pa.int64())
    else:
        columns["disk_bytes"] = pa.array([_bytes(mine, is_archive=False) for _, mine in groups], pa.int64())
        columns["archive_bytes"] = pa.array([_bytes(mine, is_archive=True) for _, mine in groups], pa.int64())
    columns["index_bytes"] = pa.array([sum(line.index_bytes for line in mine) for _, mine in groups], pa.int64())
    columns["monthly_usd"] = pa.array([kept_usd(total(line.monthly_usd for line in mine)) for _, mine in groups], _MONEY)
    columns["basis"] = pa.array([_basis(mine) for _, mine in groups])
    return pa.table(columns)


def shown(found: pa.Table) -> pa.Table:
    """A breakdown for people, with its sum below; `~` stands before bytes that are a share by rows."""
    names = [name for name in found.column_names if name not in _FOR_PROGRAMS]
    rows = [[_cell(name, each[name], each["basis"]) for name in names] for each in found.to_pylist()]
    sums = {name: sum((each[name] for each in found.to_pylist() if _is_summed(name, each)), 0) for name in names if name in _SUMMED}
    rows.append(["together" if not place else _cell(name, sums.get(name)) for place, name in enumerate(names)])
    return texts([_HEADS.get(name, name) for name in names], rows)


_HEADS: Final = {
    "partition_start": "day or month", "row_count": "rows", "disk_bytes": "on disk", "archive_bytes": "archive", "size_bytes": "bytes",
    "monthly_usd": "USD a month",
}  # fmt: skip
_FOR_PROGRAMS: Final = ("index_bytes", "tiers", "basis")


_SUMMED: Final = ("row_count", "disk_bytes", "archive_bytes", "size_bytes", "monthly_usd")


def _is_summed(name: str, row: dict[str, Any]) -> bool:
    """Rows count once: what is in the archive too is left out, and the rows of ledgers."""
    return row[name] is not None and (name != "row_count" or row.get("tier", KEPT[0]) in KEPT)


def folded(found: pa.Table) -> pa.Table:
    """A breakdown by table in which the many small ones without counted rows stand in one row together."""
    least = sum(found["disk_bytes"].to_pylist()) // _SMALL_PART
    rows = found.to_pylist()
    small = [row for row in rows if not row["row_count"] and row["disk_bytes"] < least and row["monthly_usd"] < _SMALL_USD]
    if len(small) < 2:
        return found
    one: dict[str, Any] = {name: sum(row[name] or 0 for row in small) for name in (*_SUMMED, "index_bytes") if name in found.column_names}
    one |= {"table": f"{len(small)} small ones", "tiers": "other", "row_count": None, "basis": "measured"}
    return pa.Table.from_pylist([*(row for row in rows if row not in small), one], found.schema)


def _cell(name: str, value: Any, basis: str = "measured") -> str:
    if value is None:
        return "(no day)" if name == "partition_start" else ""
    if name.endswith("_bytes"):
        mark = "~" if basis != "measured" and name in {"disk_bytes", "size_bytes"} else ""
        return f"{mark}{size_text(int(value))}" if value else ""
    if name == "monthly_usd":
        return usd_text(Decimal(value))
    return f"{value:,}" if name == "row_count" else str(value)


def _count(mine: Sequence[Line], chosen: By) -> int | None:
    told = [line.rows for line in mine if line.rows is not None and (chosen == "tier" or line.tier in KEPT)]
    return sum(told) if told else None


def _bytes(mine: Sequence[Line], *, is_archive: bool) -> int:
    return sum(line.size_bytes for line in mine if line.is_in_store == is_archive)


def _basis(mine: Sequence[Line]) -> str:
    told = {line.basis for line in mine}
    return "estimated" if "estimated" in told else "by rows" if "by rows" in told else "measured"


def kept_usd(amount: Decimal) -> Decimal:
    """Money as a program gets it: to twelve decimals."""
    with localcontext(EXACT):
        return amount.quantize(Decimal("1e-12"), ROUND_HALF_UP)


# --- the other tables of the report -----------------------------------------------------------------------------


def texts(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> pa.Table:
    """A table of texts."""
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in heads]
    return pa.Table.from_arrays([pa.array(list(column), pa.string()) for column in columns], names=list(heads))


def densities(report: Report) -> pa.Table:
    """Bytes a row of each table in each tier, and how many times smaller than in the hot tier."""
    rows = [
        [
            each.relation,
            rate_text(each.hot),
            rate_text(each.warm),
            rate_text(each.cold),
            _times(each.ratio("warm")),
            _times(each.ratio("cold")),
        ]
        for each in report.densities
    ]
    return texts(["table", "hot B/row", "warm B/row", "archive B/row", "warm", "archive"], rows)


def _times(ratio: Decimal | None) -> str:
    return "" if ratio is None else f"{rate_text(ratio)}x"


def savings(report: Report) -> pa.Table:
    """What each rule saves a month for each table, once it has run its course."""
    chosen = sorted(report.savings, key=lambda each: -each.all_hot)
    rows = [[each.relation, _years(each.days), *map(usd_text, _amounts(each))] for each in chosen]
    sums = [total(column) for column in zip(*map(_amounts, chosen), strict=True)]
    if rows:
        rows.append(["together", "", *(usd_text(amount) for amount in sums)])
    return texts(["table", "years", "now", "all hot", "warm", "cold", "delete", "with rules"], rows)


def _amounts(each: Saving) -> tuple[Decimal, ...]:
    return (each.now, each.all_hot, *(each.by_rule[rule] for rule in RULES), each.with_delete)


def _years(days: int) -> str:
    return plain((Decimal(days) / 365).quantize(Decimal("0.1")))


def forecasts(report: Report, offer: str) -> pa.Table:
    """A month at each volume after each number of years, by one offer."""
    return texts(
        ["volume", "years", "disk", "archive", "machine", "USD a month", "no rules"],
        [
            [
                f"{each.factor}x",
                str(each.years),
                f"{each.disk_gib:,} GiB",
                size_text(sum(each.bytes_of[tier] for tier in _IN_ARCHIVE)),
                _machine(each),
                usd_text(each.monthly_usd),
                usd_text(each.without_rules_usd),
            ]
            for each in report.forecasts
            if each.offer == offer
        ],
    )


def _machine(each: Forecast) -> str:
    told = each.machine if each.machines == 1 else f"{each.machines} x {each.machine}"
    return told if each.fits else f"{told} (more than one holds)"


def verdict_texts(report: Report) -> list[str]:
    """Each target, and whether it is met."""
    return [
        f"{each.name}: {'met' if each.is_met else 'NOT met'}, {usd_text(each.monthly_usd)} of {usd_text(each.target_usd)} USD a month at "
        f"{each.factor}x after {each.years} years"
        for each in report.verdicts
    ]


def headline(report: Report) -> str:
    """The bill in a sentence."""
    prices = report.prices
    is_so = "within" if report.is_within_budget else "OVER"
    return (
        f"{usd_text(report.monthly_usd)} USD a month, {is_so} the budget of {usd_text(prices.monthly_budget_usd)}. "
        f"List prices of {prices.offer.name} in {prices.region}, {prices.as_of}: check them against your bill"
    )


def remarks(report: Report) -> list[str]:
    """What a reader must know beside the numbers."""
    told = []
    if report.measured.not_measured:
        told.append(f"Not measured, for this user may not ask: {', '.join(report.measured.not_measured)}.")
    missing = {flow.relation: [tier for tier in _NEEDED if tier not in flow.density.measured] for flow in report.flows}
    if stand_ins := [f"{name} ({', '.join(_TOLD_AS[tier] for tier in tiers)})" for name, tiers in missing.items() if tiers]:
        told.append(f"Of fewer than {ENOUGH_ROWS:,} rows here, and so forecast with reference figures: {', '.join(stand_ins)}.")
    if not any(line.relation == BACKUPS for line in report.lines):
        told.append("No backups are in it: RRR_BACKUP_DIR names no folder.")
    told += _of_disk(report)
    used = report.prices.offer.object_class
    if (now := report.classes[used]) and (cheaper := [f"{kind} {usd_text(usd)}" for kind, usd in report.classes.items() if usd < now]):
        told.append(f"The archive is priced as {used}, {usd_text(now)} USD a month; as {', '.join(cheaper)}, less what reads of it cost.")
    if any(line.basis != "measured" for line in report.lines):
        told.append("~ A table without partitions of its own is shared out over its months by rows.")
    return told


def _of_disk(report: Report) -> list[str]:
    """What the largest of the forecast disks is full of."""
    mine = [each for each in report.forecasts if each.offer == report.prices.offer.name]
    if not mine or not report.flows:
        return []
    largest = max(mine, key=lambda each: (each.factor, each.years))
    parts = sorted(((size, name) for name, size in largest.bytes_of.items() if name not in _IN_ARCHIVE), reverse=True)[:4]
    told = ", ".join(f"{name} {size_text(size)}" for size, name in parts if size)
    return [f"On disk at {largest.factor}x after {largest.years} years: {told}. No rule empties the landing zone and the ledgers."]


def markdown(found: pa.Table) -> str:
    """A table of texts in Markdown, numbers to the right."""
    heads = found.column_names
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join('---' if not place else '---:' for place in range(len(heads)))}|"]
    lines += [f"| {' | '.join(str(value) for value in row.values())} |" for row in found.to_pylist()]
    return "\n".join(lines)


# --- for programs -----------------------------------------------------------------------------------------------


def as_object(report: Report) -> dict[str, Any]:
    """The whole report for a program: money and rates as plain decimal texts, bytes and rows as numbers."""
    return {
        "measured_at": report.measured.at.isoformat(),
        "engine": report.measured.engine,
        "base": report.base,
        "offer": report.prices.offer.name,
        "prices_as_of": report.prices.as_of.isoformat(),
        "region": report.prices.region,
        "monthly_usd": _usd(report.monthly_usd),
        "monthly_budget_usd": _usd(report.prices.monthly_budget_usd),
        "is_within_budget": report.is_within_budget,
        "not_measured": list(report.measured.not_measured),
        **{f"by_{chosen}": _rows(breakdown(report, chosen)) for chosen in ("table", "tier", "day")},
        "bytes_per_row": [
            {
                "table": each.relation,
                **{tier: _rate(getattr(each, tier)) for tier in KEPT},
                "warm_ratio": _rate(each.ratio("warm")),
                "archive_ratio": _rate(each.ratio("cold")),
            }
            for each in report.densities
        ],
        "rows_per_day": {flow.relation: _rate(flow.rows_per_day) for flow in report.flows},
        "savings": [
            {
                "table": each.relation,
                "days": each.days,
                "now_usd": _usd(each.now),
                "all_hot_usd": _usd(each.all_hot),
                **{f"{rule}_saves_usd": _usd(saved) for rule, saved in each.by_rule.items()},
                "with_rules_usd": _usd(each.with_delete),
            }
            for each in report.savings
        ],
        "archive_in_class_usd": {kind: _usd(amount) for kind, amount in report.classes.items()},
        "forecasts": [
            {
                "offer": each.offer,
                "factor": each.factor,
                "years": each.years,
                "bytes": dict(each.bytes_of),
                "disk_gib": each.disk_gib,
                "machine": each.machine,
                "machines": each.machines,
                "one_machine_holds_it": each.fits,
                "usd": {name: _usd(amount) for name, amount in each.usd.items()},
                "monthly_usd": _usd(each.monthly_usd),
                "without_rules_usd": _usd(each.without_rules_usd),
            }
            for each in report.forecasts
        ],
        "targets": [
            {
                "name": each.name,
                "factor": each.factor,
                "target_usd": _usd(each.target_usd),
                "years": each.years,
                "monthly_usd": _usd(each.monthly_usd),
                "is_met": each.is_met,
            }
            for each in report.verdicts
        ],
    }


def _rows(found: pa.Table) -> list[dict[str, Any]]:
    return [
        {
            name: plain(value) if isinstance(value, Decimal) else value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in row.items()
        }
        for row in found.to_pylist()
    ]


def _usd(amount: Decimal) -> str:
    return plain(kept_usd(amount))


def _rate(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount.quantize(Decimal("0.001"), ROUND_HALF_UP))
