"""Entries of the archive's upkeep in the log of retention, several at a time.

Belongs here: an entry as upkeep makes it. Does not: the log itself (tiers.py), what is done, and why (lake/, archive/).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from rrr_assets.warehouse.books import Connection
from rrr_assets.warehouse.tiers import log


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
    for each in entries:
        log(
            connection, each.action, each.relation, each.partition, is_dry_run=each.is_dry_run, row_count=each.row_count,
            size_bytes=each.size_bytes, proof_id=each.proof_id, reasons=each.reasons, detail=each.detail, run_id=each.run_id,
        )  # fmt: skip
