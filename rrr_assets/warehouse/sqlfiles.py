"""Where the SQL lies: in `sql/` of a checkout, in `rrr_assets/_sql` of an installed wheel.

Belongs here: finding and reading SQL files. Does not: running them.
"""

from functools import cache
from pathlib import Path
from typing import Final, LiteralString

_PACKAGE: Final = Path(__file__).resolve().parent.parent


def sql_folder() -> Path:
    """The folder that holds `migrations/` and `queries/`.

    Raises:
        FileNotFoundError: neither place has it: the installation is broken.
    """
    for folder in (_PACKAGE / "_sql", _PACKAGE.parent / "sql"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no SQL files beside {_PACKAGE}: install the package again")


@cache
def query(name: str) -> LiteralString:
    """The text of `sql/queries/<name>.sql`, to be run with bound parameters."""
    # psycopg types its queries as literals to keep user input out; a file of the project is as good as one.
    text: LiteralString = (sql_folder() / "queries" / f"{name}.sql").read_text(encoding="utf-8")
    return text
