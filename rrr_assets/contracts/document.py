"""The page of all tables, docs/tables.md, written from the contracts.

Belongs here: how a contract reads as Markdown. Does not: any text on a table (that is the contract's).
`python -m rrr_assets.contracts.document` writes docs/tables.md of the checkout it is called in; a test holds the page to the contracts.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rrr_assets.contracts.base import FOR_EVER, Column, Retention, Table
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.contracts.desk import DESK_TABLES
from rrr_assets.contracts.ledgers import LEDGERS
from rrr_assets.contracts.quality import QUALITY_TABLES

PAGE: Final = Path("docs/tables.md")

_HEAD: Final = """\
# Tables

Written from `rrr_assets/contracts/` by `python -m rrr_assets.contracts.document`; changes made here are lost.
The same words are the comments of tables and columns in the database.

Types are PostgreSQL's; money is `numeric` without precision, because a declared scale rounds what is inserted without a word. What a
public read returns is beside it in Arrow's words. Retention is what the contract asks for. Times are UTC.
"""

_GROUPS: Final = (
    (
        "What venues sent, and the bars made of it",
        tuple(name for name in TABLES if name not in {t.name for t in (*LEDGERS, *QUALITY_TABLES, *DESK_TABLES)}),
    ),
    ("The platform's own books", tuple(table.name for table in LEDGERS)),
    ("What is known of the data's quality", tuple(table.name for table in QUALITY_TABLES)),
    ("The desk's tables: made by the migrations, filled by nothing yet", tuple(table.name for table in DESK_TABLES)),
)


def page() -> str:
    """The whole page, in Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for title, names in _GROUPS:
        yield f"- {title}: {', '.join(f'[{name}](#{name})' for name in names)}"
    yield ""
    for title, names in _GROUPS:
        yield f"## {title}\n"
        for name in names:
            yield from _table(TABLES[name])


def _table(table: Table) -> Iterator[str]:
    yield f"### {table.name}\n"
    yield f"{table.description}\n"
    yield f"Key: {_code(table.key)}. Owner: {table.owner}. Retention: {_retention(table.retention)}.\n"
    if held := _held(table):
        yield f"{held}\n"
    yield "| column | type | read as | null | unit | meaning |"
    yield "|---|---|---|---|---|---|"
    for column in table.columns:
        yield _column(column)
    yield ""


def _column(column: Column) -> str:
    meaning = column.description
    if column.accepted is not None:
        meaning += f" One of {_code(column.accepted)}."
    if column.range is not None:
        meaning += f" It is {column.range.told}."
    cells = (f"`{column.name}`", column.type.sql, f"`{column.type.arrow}`", "yes" if column.nullable else "", column.unit or "", meaning)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _held(table: Table) -> str:
    """What holds of whole rows, and what is promised of days."""
    told = []
    if table.identity:
        told.append(f"There once, whatever its time: {_code(table.identity)}.")
    if table.ordered:
        told.append(f"In every row {', '.join(f'`{low}` <= `{high}`' for low, high in table.ordered)}.")
    if table.in_order:
        told.append(f"`{table.in_order[1]}` does not step back along `{table.in_order[0]}`, or a check warns.")
    if table.promise:
        hours, days = table.promise.whole_after_hours, table.promise.days_in_1000
        told.append(f"Promised, where the settings say nothing else: whole {hours} hours after the day's end, {days} days of 1000.")
    return " ".join(told)


def _retention(retention: Retention) -> str:
    if retention == FOR_EVER:
        return "for ever"
    tiers = (("hot", retention.hot_days), ("warm", retention.warm_days), ("cold", retention.cold_days))
    told = [f"{tier} {'without end' if days is None else f'to {_days(days)}'}" for tier, days in tiers]
    end = "never deleted" if retention.delete_after_days is None else f"deleted after {_days(retention.delete_after_days)}"
    return ", ".join([*told, end])


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Write the page.

    Raises:
        SystemExit: there is no folder docs/ here.
    """
    if not PAGE.parent.is_dir():
        sys.exit(f"there is no folder {PAGE.parent}/ here. Call it in a checkout")
    PAGE.write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
