"""Dagster's own home: its settings, and its storage in a second database of the platform's server.

Belongs here: where the instance lies and how it finds its database without a secret in any file.
Does not: the platform's database (warehouse/connect).
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self, cast

from dagster import Field
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from sqlalchemy import make_url

from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home, write_private
from rrr_assets.warehouse.migrate import migrate

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_STATEMENT_TIMEOUT_MS: Final = 600_000
_RECYCLE_SECONDS: Final = 600
_OVERFLOW: Final = 10
_EVENTS_AT_ONCE: Final = 200


class PlatformStorage(DagsterPostgresStorage):
    """dagster-postgres at the address that the platform's environment names, or on its embedded server.

    It holds its connections: dagster-postgres makes a new one for every event otherwise, and logging in
    costs several times what writing the event does. Events do not wait for the disk either: each is three to
    five commits. A server that crashes may forget those of its last half second, never the rows that they tell
    of: a day's own commit waits for the disk, and for all events before it.
    """

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        """No setting: all comes from the environment."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:  # noqa: ARG003  # Dagster's signature
        """Called by Dagster in every process that opens the instance."""
        database = Database.current()
        if database.ensure_dagster_database() and database.is_embedded:
            migrate(database)  # a new home entered through Dagster, not through `rrr up`
        # The closing events of a range of days, one for each, are written together.
        os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_EVENTS_AT_ONCE))
        storage = cls(postgres_url=_address(database.dagster_url), inst_data=inst_data)
        storage.hold_connections()
        return storage

    def hold_connections(self) -> None:
        """Keep one connection of each store open, more under load."""
        for store in (self.event_log_storage, self.run_storage, self.schedule_storage):
            cast(Any, store).optimize_for_webserver(_STATEMENT_TIMEOUT_MS, _RECYCLE_SECONDS, _OVERFLOW)
        # Asked before every event that has tags, on a second connection; a table that is there stays.
        events = cast(Any, self.event_log_storage)
        events.has_table = _remembering(events.has_table)


def prepare_dagster_home(home: Home | None = None) -> Path:
    """Lay the instance's settings into DAGSTER_HOME and name it in this process' environment.

    Returns:
        DAGSTER_HOME: the one given in the environment, else the home's own.
    """
    given = os.environ.get("DAGSTER_HOME")
    folder = Path(given) if given else (home or Home.current()).dagster
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("dagster.yaml", "workspace.yaml"):
        if not given or not (folder / name).exists():
            _lay_down(project_file(name).read_text("utf-8"), folder / name)
    os.environ["DAGSTER_HOME"] = str(folder)
    return folder


def _lay_down(text: str, path: Path) -> None:
    # Half a file would be read by another process as other settings: an instance without the platform's storage.
    if not path.exists() or path.read_text("utf-8") != text:
        write_private(path, text)


def project_file(name: str) -> Path:
    """dagster.yaml or workspace.yaml: of the checkout, or of the installed wheel."""
    inside = _PACKAGE / f"_{name}"
    return inside if inside.is_file() else _PACKAGE.parent / name


def _address(url: str) -> str:
    """The address as dagster-postgres is to use it."""
    # A plain postgresql:// means another driver from SQLAlchemy 2.1 on, and dagster-postgres needs psycopg2.
    address = make_url(url).set(drivername="postgresql+psycopg2")
    given = address.query.get("options", "")
    options = given if isinstance(given, str) else " ".join(given)
    return address.update_query_dict({"options": f"{options} -c synchronous_commit=off".strip()}).render_as_string(hide_password=False)


def _remembering(has_table: Callable[[str], bool]) -> Callable[[str], bool]:
    there: set[str] = set()

    def remembered(name: str) -> bool:
        if name not in there and has_table(name):
            there.add(name)
        return name in there

    return remembered
