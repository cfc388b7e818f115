"""Commands for the rules by which bars of ticks, volume and quote volume are cut."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rrr_assets.calc.words import counted
from rrr_assets.cli.arguments import FormatOption, JsonFlag, Out

if TYPE_CHECKING:
    from rrr_assets.calc.information_bars import Rule
    from rrr_assets.warehouse.information_bars import RulesChanged

Scope = Annotated[
    str, typer.Argument(metavar="SCOPE", help="VENUE:SYMBOL, 'VENUE:*' for a venue, or '*' for all; quote the star.", show_default=False)
]
IsAll = Annotated[bool, typer.Option("--all", help="Also rules that were withdrawn.")]

bar_rules_app = typer.Typer(invoke_without_command=True, help="Print the rules by which bars are cut, or set them.")


def register(app: typer.Typer) -> None:
    app.add_typer(bar_rules_app, name="bar-rules")


@bar_rules_app.callback()
def bar_rules(
    context: typer.Context, is_all: IsAll = False, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None
) -> None:
    if context.invoked_subcommand is None:
        list_rules(is_all, chosen, as_json, out)


@bar_rules_app.command(name="list")
def list_rules(is_all: IsAll = False, chosen: FormatOption = None, as_json: JsonFlag = False, out: Out = None) -> None:
    """Print the rules by which bars are cut.

    Of each kind those of the narrowest scope hold: the instrument's own, else its venue's, else those of all.
    """
    from rrr_assets import read
    from rrr_assets.cli.output import emit

    emit(
        read.bar_rules(is_all=is_all),
        chosen,
        as_json=as_json,
        out=out,
        hidden=("kind", "threshold", *(() if is_all else ("withdrawn_at",))),
    )


@bar_rules_app.command(name="set")
def set_scope(
    scope: Scope,
    names: Annotated[
        list[str], typer.Argument(metavar="RULE...", help="As in tick-500, volume-0.5 or dollar-1000000.", show_default=False)
    ],
    as_json: JsonFlag = False,
) -> None:
    """Let a scope have these rules, and no others of their kinds.

    The days that are cut otherwise then are made again: by the daemon, or by `rrr refresh`.
    """
    from rrr_assets.calc.information_bars import Rule

    try:
        rules = [Rule.parse(name) for name in names]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    _set(scope, sorted({rule.kind for rule in rules}), rules, as_json)


@bar_rules_app.command(name="unset")
def unset_scope(
    scope: Scope,
    kinds: Annotated[list[str], typer.Argument(metavar="KIND...", help="tick, volume or dollar.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Withdraw a scope's rules of some kinds.

    Those of the wider scope hold again. The days that are cut otherwise then are made again, as after `set`.
    """
    from rrr_assets.contracts.information_bars import KINDS

    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise typer.BadParameter(f"'{unknown[0]}' is no kind of bars. There are {', '.join(KINDS)}")
    _set(scope, sorted(set(kinds)), [], as_json)


def _set(scope: str, kinds: Sequence[str], rules: Sequence["Rule"], as_json: bool) -> None:
    from rrr_assets.warehouse.connect import Database
    from rrr_assets.warehouse.information_bars import set_rules

    known_as = _scope(scope)
    changed = set_rules(Database.current(), known_as, kinds, rules)
    if as_json:
        told = {
            "scope": known_as,
            "rules": [rule.name for rule in rules],
            "kinds": list(kinds),
            "days": [day.isoformat() for day in changed.days],
        }
        sys.stdout.write(json.dumps(told) + "\n")
        return
    named = ", ".join(rule.name for rule in rules) or f"no rules of its own of {' and '.join(kinds)}"
    sys.stdout.write(f"{known_as}: {named}. {_behind(changed)}\n")


def _scope(text: str) -> str:
    """A scope as it is spelled here.

    Raises:
        typer.BadParameter: it is no scope, or names a venue that is neither listed nor was ever loaded from.
        UnknownInstrument: it names an instrument of which nothing was ever loaded.
    """
    from rrr_assets import read
    from rrr_assets.contracts.information_bars import EVERY_INSTRUMENT
    from rrr_assets.contracts.venues import VENUES
    from rrr_assets.venues.names import near_venues, parse_instrument

    venue, _, symbol = text.strip().partition(":")
    venue, is_venue = venue.strip().lower(), symbol.strip() == EVERY_INSTRUMENT
    if text.strip() == EVERY_INSTRUMENT:
        return EVERY_INSTRUMENT
    # A table may have brought in a venue that is listed nowhere.
    if is_venue and (venue in VENUES or venue in read.instruments()["venue"].to_pylist()):
        return f"{venue}:{EVERY_INSTRUMENT}"
    try:
        name = parse_instrument(text)
    except ValueError as error:
        near = [f"{each}:{EVERY_INSTRUMENT}" for each in near_venues(venue)] if is_venue else []
        hint = f"Did you mean {' or '.join(near)}?" if near else "`rrr instruments` lists what is known"
        raise typer.BadParameter(f"'{text}' is no scope: write venue:SYMBOL, venue:* or *. {hint}") from error
    read.check_known(name)
    return name


def _behind(changed: "RulesChanged") -> str:
    if not changed.days:
        return "No day is cut otherwise"
    span = f"{counted(len(changed.days), 'day')} from {changed.days[0]} to {changed.days[-1]}"
    return f"{span} are to be cut again: the daemon does it, or `rrr refresh`"
