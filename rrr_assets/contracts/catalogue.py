"""Every table of the platform, by name.

Belongs here: the list. Does not: a contract (those stand in the modules beside this one).
"""

from typing import Final

from rrr_assets.contracts.bars import BAR_REVISIONS, BARS
from rrr_assets.contracts.base import Table
from rrr_assets.contracts.cost import COST_HISTORY
from rrr_assets.contracts.desk import DESK_TABLES
from rrr_assets.contracts.features import FEATURE_TABLES
from rrr_assets.contracts.information_bars import BAR_RULES, INFORMATION_BARS
from rrr_assets.contracts.ledgers import LEDGERS
from rrr_assets.contracts.quality import QUALITY_TABLES
from rrr_assets.contracts.ticks import TICKS

TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        *TICKS,
        *BARS.values(),
        BAR_REVISIONS,
        *INFORMATION_BARS.values(),
        BAR_RULES,
        *FEATURE_TABLES,
        *LEDGERS,
        COST_HISTORY,
        *QUALITY_TABLES,
        *DESK_TABLES,
    )
}
