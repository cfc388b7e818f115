"""The contracts of retention: in which tier each partition is, what is held, and what was ever done or refused.

Belongs here: those three ledgers, and who may do what to stored rows in which environment. Does not: how long a table is kept (its own
contract), the proof that a partition is kept (ledgers), how a partition is moved (archive/).
"""

from typing import Final, Literal

from rrr_assets.contracts.base import NOT_NEGATIVE, Column, Table, Type

TIERS: Final = ("warm", "cold", "deleted")
"""What a partition is that is no longer hot: in the database and not written, in the archive alone, gone."""

ACTIONS: Final = (
    "warm", "thaw", "drop", "restore", "delete", "refuse", "expire", "compact", "remove_orphans", "scrub", "hold", "release",
)  # fmt: skip
"""What the retention log tells of."""

HOLD_KINDS: Final = ("legal", "pin")
"""A legal hold is a person's word; a pin is a data set's, and ends by itself."""

Change = Literal["warm", "drop", "delete", "maintain", "release"]
"""What needs permission: what takes something away. To bring back, and to hold, needs none."""

ENVIRONMENT: Final = "RRR_ENVIRONMENT"

PERMITTED: Final[dict[str, frozenset[Change]]] = {
    "development": frozenset({"warm", "drop", "delete", "maintain", "release"}),
    "staging": frozenset({"warm", "drop", "maintain"}),
    "production": frozenset({"warm", "drop", "delete", "maintain", "release"}),
}
"""What is permitted by the environment that RRR_ENVIRONMENT names. Where it names none of these, nothing is."""

_OWNER: Final = "team:market-data"

PARTITION_TIERS: Final = Table(
    name="partition_tiers",
    description="The tier of every partition that is no longer hot. A partition without a row here is in the database, and is written.",
    columns=(
        Column("relation", Type.TEXT, "The table."),
        Column("partition_start", Type.DATE, "First day of the partition: the day, or the first of its month.", unit="UTC day"),
        Column("tier", Type.TEXT, "warm: in the database, not written; cold: in the archive alone; deleted: gone.", accepted=TIERS),
        Column("row_count", Type.BIGINT, "Rows, as it left the tier before.", unit="rows", range=NOT_NEGATIVE),
        Column(
            "size_bytes", Type.BIGINT, "What it took in the database while it was hot, with its indexes.", unit="bytes", range=NOT_NEGATIVE
        ),
        Column("proof_id", Type.BIGINT, "The proof on which it was dropped; null while it is warm.", nullable=True),
        Column("restored", Type.TEXTS, "Instruments whose rows were brought back into the database, and are read there."),
        Column("restored_until", Type.TIME, "When those are dropped again; null where there are none.", nullable=True, unit="UTC"),
        Column("changed_at", Type.TIME, "When this row last changed.", unit="UTC"),
    ),
    key=("relation", "partition_start"),
    owner=_OWNER,
)

HOLDS: Final = Table(
    name="holds",
    description="What may not be dropped, deleted or expired, by whose word, and until when. A hold is released, never removed.",
    columns=(
        Column("hold_id", Type.BIGINT, "The hold's number."),
        Column("name", Type.TEXT, "What it is called; of holds that stand, one has the name."),
        Column("kind", Type.TEXT, "A person's word, or the pin of a data set.", accepted=HOLD_KINDS),
        Column("relation", Type.TEXT, "The table; null for every one.", nullable=True),
        Column("instrument", Type.TEXT, "The instrument; null for every one.", nullable=True),
        Column("from_day", Type.DATE, "First day; null for no bound.", nullable=True, unit="UTC day"),
        Column("until_day", Type.DATE, "First day that is not held; null for no bound.", nullable=True, unit="UTC day"),
        Column("reason", Type.TEXT, "Why, in the words of who placed it."),
        Column("placed_at", Type.TIME, "When.", unit="UTC"),
        Column("placed_by", Type.TEXT, "Who: the user of the operating system and the host."),
        Column("expires_at", Type.TIME, "When it ends by itself; null: when it is released.", nullable=True, unit="UTC"),
        Column("released_at", Type.TIME, "When it was released; null while it stands.", nullable=True, unit="UTC"),
        Column("released_by", Type.TEXT, "Who released it.", nullable=True),
        Column("release_reason", Type.TEXT, "Why.", nullable=True),
    ),
    key=("hold_id",),
    owner=_OWNER,
    ordered=(("from_day", "until_day"),),
)

RETENTION_LOG: Final = Table(
    name="retention_log",
    description="What retention, restoring and the archive's upkeep did, would have done, or refused, and why. Append-only.",
    columns=(
        Column("entry_id", Type.BIGINT, "Order of the entries."),
        Column("at", Type.TIME, "When.", unit="UTC"),
        Column("action", Type.TEXT, "What.", accepted=ACTIONS),
        Column("relation", Type.TEXT, "The table; null where it concerns none.", nullable=True),
        Column("partition_start", Type.DATE, "First day of the partition.", nullable=True, unit="UTC day"),
        Column("is_dry_run", Type.BOOLEAN, "Nothing was changed: it was only asked what would be."),
        Column("row_count", Type.BIGINT, "Rows concerned.", nullable=True, unit="rows", range=NOT_NEGATIVE),
        Column("size_bytes", Type.BIGINT, "Bytes concerned.", nullable=True, unit="bytes", range=NOT_NEGATIVE),
        Column("proof_id", Type.BIGINT, "The proof that it rests on.", nullable=True),
        Column("reasons", Type.TEXTS, "Why it was refused, or done."),
        Column("detail", Type.JSON, "What else there is to say.", nullable=True),
        Column("environment", Type.TEXT, "What RRR_ENVIRONMENT was; null where it was not set.", nullable=True),
        Column("by_whom", Type.TEXT, "The user of the operating system and the host."),
        Column("run_id", Type.TEXT, "The Dagster run, where one did it.", nullable=True),
    ),
    key=("entry_id",),
    owner=_OWNER,
)
