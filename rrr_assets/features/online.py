"""Values online: bringing the latest rows there, and reading them with their age.

Belongs here: what is between the platform and Feast's online store. Does not: Feast's configuration (feast_config.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from rrr_assets.calc.features import FEATURES

if TYPE_CHECKING:
    from feast import FeatureStore

LOOKED_BACK: Final = timedelta(days=1)
"""The latest row of an instrument that had none for so long stays what it is online, and is told to be old."""


@dataclass(frozen=True, slots=True)
class Vector:
    """An instrument's features as they are online.

    `event_time` is the close that they belong to and `age` how long ago that was; None where nothing of it is online. A vector that is
    older than was allowed has no values, but tells its age.
    """

    instrument: str
    event_time: datetime | None
    age: timedelta | None
    is_fresh: bool
    values: dict[str, float | None]


def materialize(store: "FeatureStore", until: datetime) -> None:
    """Bring the latest row of every instrument online, late ones and those that were made again among them.

    Every row that is the latest is written each time: what came late to it is written with it, which an increment by time would miss.
    """
    store.materialize(until - LOOKED_BACK, until)


def vectors(
    store: "FeatureStore",
    instruments: Sequence[str],
    names: Sequence[str] = tuple(FEATURES),
    *,
    max_age: timedelta,
    now: datetime | None = None,
) -> list[Vector]:
    """The features of some instruments as they are online, in the order asked for.

    Args:
        store: of feast_config.
        instruments: as in binance:BTCUSDT.
        names: of the features.
        max_age: from what age on a vector's values are left out.
        now: UTC; default: this machine's clock.
    """
    at = now or datetime.now(UTC)
    refs = [f"{FEATURES[name].kind}_1m:{name}" for name in names]
    answer = store.get_online_features(features=refs, entity_rows=[{"instrument": name} for name in instruments])
    columns = answer.to_dict()
    found = []
    for row, instrument in enumerate(instruments):
        # The oldest of the views: what is served together is as old as its oldest part.
        times = [_time(answer, place, row) for place in range(1, len(names) + 1)]
        known = [each for each in times if each is not None]
        event_time = min(known) if len(known) == len(names) else None
        age = None if event_time is None else at - event_time
        is_fresh = age is not None and age <= max_age
        values = {name: columns[name][row] if is_fresh else None for name in names}
        found.append(Vector(instrument, event_time, age, is_fresh, values))
    return found


def _time(answer: "object", place: int, row: int) -> datetime | None:
    stamp = answer.proto.results[place].event_timestamps[row]  # type: ignore[attr-defined]  # Feast's answer
    return None if stamp.seconds == 0 else stamp.ToDatetime(tzinfo=UTC)
