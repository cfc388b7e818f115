"""The command that holds tables against their contracts: Great Expectations over a day, with a page.

Belongs here: validate. Does not: asking and keeping (quality/validations).
"""

import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rrr_assets.cli.arguments import JsonFlag, parse_day

if TYPE_CHECKING:
    from rrr_assets.quality.expectations import Validation

Day = Annotated[date | None, typer.Option("--day", parser=parse_day, metavar="DAY", help="A UTC day; yesterday where none is named.")]
Only = Annotated[list[str] | None, typer.Option("--table", metavar="NAME", help="Only this table; may be given several times.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the page there too.", dir_okay=False)]


def register(app: typer.Typer) -> None:
    app.command()(validate)


def validate(day: Day = None, tables: Only = None, html: Html = None, as_json: JsonFlag = False) -> None:
    """Hold every table against its contract with Great Expectations, and keep the results. Status 1 where something is not met."""
    from rrr_assets.cli.failures import EXIT_FAILED
    from rrr_assets.cli.ingest import ready_database
    from rrr_assets.cli.output import note
    from rrr_assets.quality import validations
    from rrr_assets.quality.validation_page import validation_page

    chosen = day or validations.yesterday()
    done = validations.validate(ready_database(), chosen, tables or None)
    page = validation_page(chosen, done)
    note(f"the page is in {validations.write_page(page, html)}")
    if as_json:
        sys.stdout.write(json.dumps([_told(one) for one in done], indent=1) + "\n")
    else:
        _show(done)
    if not all(one.is_success for one in done):
        sys.exit(EXIT_FAILED)


def _told(one: "Validation") -> dict[str, object]:
    from rrr_assets.quality.validations import answers_told

    return {
        "relation": one.relation, "day": one.day.isoformat() if one.day else None, "is_success": one.is_success,
        "evaluated": len(one.answers), "unmet": one.unmet, "results": answers_told(one.answers),
    }  # fmt: skip


def _show(done: "list[Validation]") -> None:
    import pyarrow as pa

    from rrr_assets.cli.output import emit

    rows = [
        {
            "table": one.relation,
            "day": one.day.isoformat() if one.day else "",
            "rows": max((answer.looked_at for answer in one.answers), default=0),
            "expectations": len(one.answers),
            "unmet": one.unmet,
            "first": next((answer.says for answer in one.answers if not answer.is_met), ""),
        }
        for one in done
    ]
    emit(pa.Table.from_pylist(rows), None)
