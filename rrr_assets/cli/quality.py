"""The command for the data's quality: how every instrument's days are, what is missing, what is broken, and what that leaves of the budget.

Belongs here: quality, and its page. Does not: what is asked (warehouse/quality_report.py), how it is drawn (quality/).
Other commands of quality are added to `quality_app` in modules of their own.
"""

import typer

quality_app = typer.Typer(invoke_without_command=True, help="Print how good the data is: status by day, SLAs, gaps, findings, anomalies.")


def register(app: typer.Typer) -> None:
    app.add_typer(quality_app, name="quality")


@quality_app.callback()
def quality(context: typer.Context) -> None:
    if context.invoked_subcommand is not None:
        return
