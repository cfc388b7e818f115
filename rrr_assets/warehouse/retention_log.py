"""The log of what retention, restoring and the archive's upkeep did: one way to write into it.

Belongs here: an entry, with who and in which environment. Does not: what is done, and why (lake/, archive/).
"""

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from rrr_assets.contracts.retention import ENVIRONMENT
from rrr_assets.warehouse.sqlfiles import query

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is written down. Fields are those of `retention_log`; `detail` is what JSON can hold."""

    action: str
    is_dry_run: bool
    relation: str | None = None
    partition: date | None = None
    row_count: int | None = None
    size_bytes: int | None = None
    proof_id: int | None = None
    reasons: Sequence[str] = ()
    detail: Mapping[str, Any] | None = None
    run_id: str | None = None


def note(connection: Connection, *entries: Entry) -> None:
    """Write entries down, in their order, in the transaction of the caller."""
    with connection.cursor() as cursor:
        cursor.executemany(query("retention_note"), [_values(entry) for entry in entries])


def _values(entry: Entry) -> dict[str, Any]:
    return {
        "action": entry.action, "relation": entry.relation, "partition_start": entry.partition, "is_dry_run": entry.is_dry_run,
        "row_count": entry.row_count, "size_bytes": entry.size_bytes, "proof_id": entry.proof_id, "reasons": list(entry.reasons),
        "detail": None if entry.detail is None else Jsonb(dict(entry.detail)), "environment": os.environ.get(ENVIRONMENT) or None,
        "by_whom": f"{getpass.getuser()}@{socket.gethostname()}", "run_id": entry.run_id,
    }  # fmt: skip
