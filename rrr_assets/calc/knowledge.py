"""The knowledge clock: what was known when, and up to when that question has a final answer.

Belongs here: the rules of known_at, pure. Does not: reading clocks or transactions (warehouse/).
Every batch has one stamp, `known_at`, taken after it entered the books as in flight and before it
commits. A row is believed from its known_at until the known_at of what replaced it. A read as known at T
can be repeated only where no batch in flight may still commit with a stamp at or below T: T must lie
below the knowledge horizon.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

_OFFSET_QUANTILE: Final = 0.99


class BeyondHorizon(ValueError):
    """A read as known at a time whose answer may still change."""

    def __init__(self, asked: datetime, horizon: datetime) -> None:
        self.asked, self.horizon = asked, horizon
        super().__init__(
            f"what was known at {asked.isoformat()} is not final yet: ask for a time before {horizon.isoformat()}, "
            "or wait for the load in flight"
        )


def horizon(now: datetime, in_flight_since: Iterable[datetime]) -> datetime:
    """The knowledge horizon: the start of the oldest batch in flight, or now where none is.

    Args:
        now: UTC, by the database's clock.
        in_flight_since: when each batch in flight entered the books, by the same clock.
    """
    return min([now, *in_flight_since])


def check_final(asked: datetime, final_before: datetime) -> None:
    """Refuse a read that could not be repeated.

    Raises:
        BeyondHorizon: `asked` is not below the horizon.
        ValueError: `asked` has no time zone.
    """
    if asked.tzinfo is None:
        raise ValueError(f"a knowledge time needs a time zone: {asked.isoformat()}")
    if asked >= final_before:
        raise BeyondHorizon(asked, final_before)


def next_stamp(clock: datetime, last_stamp: datetime | None) -> datetime:
    """The known_at of a batch: the clock's time, but always after the last stamp, should the clock have been set back."""
    if last_stamp is None or clock > last_stamp:
        return clock
    return last_stamp + timedelta(microseconds=1)


def is_believed(asked: datetime, known_at: datetime, believed_until: datetime | None) -> bool:
    """Whether a version of a row answers a read as known at `asked`: known by then, and not yet replaced."""
    return known_at <= asked and (believed_until is None or asked < believed_until)


def available_at(
    event_time: datetime, received_at: datetime | None, clock_offset: timedelta | None, publication_delay: timedelta
) -> tuple[datetime, str]:
    """When a row could be used, and whether that was observed or modelled.

    received_at plus the batch's measured clock offset, never before event_time; without received_at,
    event_time plus the source's publication delay. All UTC.
    """
    if received_at is None:
        return event_time + publication_delay, "modelled"
    return max(event_time, received_at + (clock_offset or timedelta())), "observed"


def clock_offset(leads_us: npt.NDArray[np.int64]) -> int | None:
    """What to add to a recorder's clock, in microseconds: how far it provably runs behind the venue's.

    A message cannot arrive before it was sent, so the largest lead of event_time over received_at is the least
    that the clock is behind; the 99th percentile, because single messages are stamped late by the venue itself.
    A clock that runs ahead cannot be told from a slow line: it is left, which errs to the safe side.

    Args:
        leads_us: event_time less received_at of each message, shape (n,), in microseconds.

    Returns:
        None where nothing was measured.
    """
    if len(leads_us) == 0:
        return None
    return max(0, int(np.quantile(leads_us, _OFFSET_QUANTILE, method="lower")))
