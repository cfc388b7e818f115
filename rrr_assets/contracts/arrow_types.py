"""How logical types read in Arrow.

Belongs here: one Arrow type for each. Does not: what the types mean (base.py), which column has which.
"""

from typing import Final

import pyarrow as pa

from rrr_assets.calc.decimals import NOTIONAL_READ, PRICE, SIZE
from rrr_assets.contracts.base import Type
from rrr_assets.contracts.parsed import UTC_MICROSECONDS

ARROW_TYPES: Final = {
    Type.TEXT: pa.string(),
    Type.BIGINT: pa.int64(),
    Type.SMALLINT: pa.int16(),
    Type.INTEGER: pa.int32(),
    Type.BOOLEAN: pa.bool_(),
    Type.DATE: pa.date32(),
    Type.DATE_RANGE: pa.string(),
    Type.TIME: UTC_MICROSECONDS,
    Type.TIME_RANGES: pa.string(),
    Type.ID_RANGES: pa.string(),
    Type.PRICE: PRICE,
    Type.VOLUME: SIZE,
    Type.SIZE: SIZE,
    Type.NOTIONAL: NOTIONAL_READ,
    Type.NUMBER: pa.string(),
    Type.STATISTIC: pa.float64(),  # not money: see the type
    Type.STATISTICS: pa.list_(pa.float64()),  # not money: see the type
    Type.TEXTS: pa.list_(pa.string()),
    Type.JSON: pa.string(),
}
