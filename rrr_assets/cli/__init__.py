"""The command `rrr`.

Belongs here: commands, what they take and how they print. Does not: what they do (read, warehouse, simulator, the stations).
The modules of commands import typer and nothing heavy at the top: what a command needs is imported when it runs.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Final

import typer

from rrr_assets.cli.failures import EXIT_FAILED, expected_failures, tell

# In the order of the help. `ingest` brings what runs the Dagster graph.
_MODULES: Final = (
    "servers",
    "simulate",
    "ingest",
    "fetch",
    "reads",
    "history",
    "ledgers",
    "features",
    "training",
    "gaps",
    "validate",
    "bar_rules",
    "archive",
    "upkeep",
    "retention",
    "cost",
    "backup",
    "doctor",
    "quality",
    "metrics",
    "alerts",
    "watchdog",
    "quality_status",
    "healing",
    "quality_check",
)

app = typer.Typer(
    name="rrr",
    help="The data platform of a trading desk: exact trades and bars, and what is known of their holes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich's would take longer than most commands
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name in _MODULES:
    if find_spec(f"{__name__}.{_name}"):
        import_module(f"{__name__}.{_name}").register(app)


def main() -> None:
    """Run the command line. What can be expected to go wrong is told in one line, and ends the process with status 1."""
    try:
        app(prog_name="rrr")
    except SystemExit:
        raise  # the usual end; what follows would import half the platform
    except expected_failures() as failure:
        tell(failure)
        sys.exit(EXIT_FAILED)
