"""How a command tells what went wrong: one line with the remedy, no traceback, no secret.

Belongs here: which failures are expected, and printing them. Does not: wrong usage, which typer tells.
RRR_DEBUG=1 shows the traceback too.
"""

import os
import re
import sys
import traceback
from typing import Final
from urllib.parse import unquote

EXIT_FAILED: Final = 1
_PASSWORD: Final = re.compile(r"://[^:@/\s]*:(?P<password>[^@\s]+)@")


class CommandFailed(Exception):
    """A command could not do what it was asked for; the message says what to do."""


def expected_failures() -> tuple[type[BaseException], ...]:
    """The kinds that are told in a line. Called when something was raised, so that nothing is imported before."""
    import psycopg

    from rrr_assets.calc.outcomes import PermanentFailure, StoreUnreachable
    from rrr_assets.read import ReadRefused
    from rrr_assets.venues.base import SourceRefused
    from rrr_assets.warehouse.connect import DatabaseUnusable
    from rrr_assets.warehouse.home import HomeUnusable
    from rrr_assets.warehouse.server import ServerFailed

    kinds = (ReadRefused, SourceRefused, PermanentFailure, StoreUnreachable, DatabaseUnusable, HomeUnusable, ServerFailed)
    return (CommandFailed, *kinds, psycopg.Error, OSError)


def tell(failure: BaseException) -> None:
    """Print a failure on stderr: its first line, or with RRR_DEBUG=1 all of it with the traceback."""
    if os.environ.get("RRR_DEBUG") == "1":
        sys.stderr.write(without_secrets("".join(traceback.format_exception(failure))))
    message = str(failure).strip() or type(failure).__name__
    sys.stderr.write(f"rrr: {without_secrets(message.splitlines()[0])}\n")


def without_secrets(text: str) -> str:
    """The text with every password masked that an address in it, or in the environment, holds."""
    addresses = [value for name, value in os.environ.items() if name.startswith("RRR_") and "://" in value]
    passwords = {found["password"] for address in addresses if (found := _PASSWORD.search(address))}
    for secret in sorted(passwords | {unquote(password) for password in passwords}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _PASSWORD.sub(lambda found: found.group().replace(found["password"], "***"), text)
