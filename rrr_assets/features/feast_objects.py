"""What Feast knows: the entity, the views with their fields, the services. All of it is made from the declared features.

Belongs here: those objects. Does not: where Feast keeps them and the values (feast_config.py).
"""

from typing import Final

import pandas as pd  # type: ignore[import-untyped]  # pandas publishes no types of its own
from feast import Entity, FeatureService, FeatureView, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, UnixTimestamp

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.asof import TTL
from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.features.feast_source import WarehouseSource
from rrr_assets.features.online import STAMPS

_OWNER: Final = FEATURES_1M.owner
INSTRUMENT: Final = Entity(
    name="instrument", join_keys=["instrument"], value_type=ValueType.STRING, owner=_OWNER,
    description="Venue and symbol, as in binance:BTCUSDT.",
)  # fmt: skip

SOURCE: Final = WarehouseSource(FEATURES_1M.name, FEATURES_1M.description, _OWNER)


def _field(name: str) -> Field:
    feature = FEATURES[name]
    tags = {
        "unit": feature.unit, "formula": feature.formula, "minutes": str(feature.bars), "version": str(feature.version),
        "null_when": feature.null_when, "kind": feature.kind,
    }  # fmt: skip
    return Field(name=name, dtype=Float64, description=feature.description, tags=tags)


def _stamp(name: str) -> Field:
    return Field(name=name, dtype=UnixTimestamp, description=f"{FEATURES_1M.column(name).description} Online in whole seconds, rounded up.")


# One view of one table: what is online of an instrument is one row, written at once and read at once, never parts of two.
VIEW: Final = FeatureView(
    name=FEATURES_1M.name, entities=[INSTRUMENT], ttl=TTL, schema=[*map(_field, FEATURES), *map(_stamp, STAMPS)], source=SOURCE,
    owner=_OWNER, description=FEATURES_1M.description, tags={"table": FEATURES_1M.name},
)  # fmt: skip

PRICE_NOW: Final = RequestSource(
    name="price_now", schema=[Field(name="price", dtype=Float64, description="A price of now. [quote asset, in doubles]")], owner=_OWNER,
    description="What comes with the request.",
)  # fmt: skip


@on_demand_feature_view(  # type: ignore[untyped-decorator]  # Feast says no type of it
    sources=[VIEW[["sma_20", "bollinger_upper", "bollinger_lower"]], PRICE_NOW],
    # Feast compares these with what it infers, which has no words of its own: they stand in the view's.
    schema=[Field(name="price_over_sma_20_bps", dtype=Float64), Field(name="price_in_bands", dtype=Float64)],
    mode="pandas",
    owner=_OWNER,
    description=(
        "A price of now against the last minute that closed: how far it lies above sma_20, in bps, and where it lies between the "
        "Bollinger bands, 0 to 1."
    ),
)
def price_now_1m(inputs: pd.DataFrame) -> pd.DataFrame:
    """What hangs on a price that is given with the request; null where the minute has no value, the bands are one, or it is infinite."""
    over = (inputs["price"] / inputs["sma_20"] - 1) * 10_000
    width = inputs["bollinger_upper"] - inputs["bollinger_lower"]
    return pd.DataFrame(
        {
            "price_over_sma_20_bps": over.where(over.abs() < float("inf")),
            "price_in_bands": ((inputs["price"] - inputs["bollinger_lower"]) / width).where(width > 0),
        }
    )


SERVICES: Final = (
    FeatureService(
        name="minutes", features=[VIEW], owner=_OWNER, description="Every declared feature.", tags={"table": FEATURES_1M.name}
    ),
    FeatureService(
        name="minutes_and_price", features=[VIEW, price_now_1m], owner=_OWNER,
        description="Every declared feature, and what hangs on a price of now.",
    ),
)  # fmt: skip

OBJECTS: Final = (INSTRUMENT, SOURCE, PRICE_NOW, VIEW, price_now_1m, *SERVICES)
"""All that `feast apply` writes."""
