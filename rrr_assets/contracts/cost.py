"""The contract of the bill over time.

Belongs here: that one table. Does not: prices (calc/prices), what anything costs (calc/costs).
"""

from typing import Final

from rrr_assets.contracts.base import NOT_NEGATIVE, Column, Table, Type

COST_TIERS: Final = ("hot", "warm", "cold", "copy", "superseded", "metadata", "other")
"""The tiers of retention, and what else there is in the archive and beside the tables."""

COST_HISTORY: Final = Table(
    name="cost_history",
    description="What was kept where on each day that a cost report was made of, and what it cost a month by the prices of that day.",
    columns=(
        Column("day", Type.DATE, "The day of the report; a later one of the same day replaces it.", unit="UTC day"),
        Column("relation", Type.TEXT, "The table, or what else is kept or paid for."),
        Column(
            "tier",
            Type.TEXT,
            "Where: hot, warm or cold; copy: in the archive and in the database too; superseded, metadata: objects of the archive that are "
            "no rows of today.",
            accepted=COST_TIERS,
        ),
        Column("row_count", Type.BIGINT, "Rows; null where nobody counts.", nullable=True, unit="rows", range=NOT_NEGATIVE),
        Column("size_bytes", Type.BIGINT, "Bytes, indexes included.", unit="bytes", range=NOT_NEGATIVE),
        Column("monthly_usd", Type.PRICE, "What it cost, rounded to 12 decimals.", unit="USD a month", range=NOT_NEGATIVE),
        Column("offer", Type.TEXT, "By whose prices."),
        Column("prices_as_of", Type.DATE, "Of when the prices are.", unit="UTC day"),
        Column("measured_at", Type.TIME, "When it was measured.", unit="UTC"),
    ),
    key=("day", "relation", "tier"),
    owner="team:market-data",
)
