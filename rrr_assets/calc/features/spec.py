"""What a training set is asked to be: instruments, moments, features, labels, what is tested on.

Belongs here: reading a specification and refusing what nobody understands. Does not: making the set (features/training.py).

    name: momentum
    instruments: ["binance:BTCUSDT"]     # or ["*"]: all of which anything was known
    start: 2025-03-03
    end: 2025-03-05                      # excluded
    every_minutes: 5
    features: [sma_20, rsi_14]           # or ["*"]
    labels:
      - {kind: return, minutes: 15}
      - {kind: triple_barrier, minutes: 60, up_bps: 50, down_bps: 50}
    test: {start: 2025-03-04, end: 2025-03-05}
"""

import hashlib
import json
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml  # type: ignore[import-untyped]  # PyYAML publishes no types of its own
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from rrr_assets.calc.features import FEATURES
from rrr_assets.calc.features.asof import TTL
from rrr_assets.calc.features.compute import MINUTE, look_back
from rrr_assets.calc.features.labels import FutureReturn, Label, TripleBarrier
from rrr_assets.calc.outcomes import PermanentFailure


class SpecRefused(PermanentFailure):
    """The specification cannot be used as it is: the message names the file, the field, and what to write."""


def _moment(value: object) -> object:
    """A day is its midnight, and a time without a zone is UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


Moment = Annotated[datetime, BeforeValidator(_moment)]
_MOMENT: Final[TypeAdapter[datetime]] = TypeAdapter(Moment)
Minutes = Annotated[int, Field(ge=1, le=10_080)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReturnLabel(_Part):
    """The return after so many minutes."""

    kind: Literal["return"]
    minutes: Minutes

    def label(self) -> Label:
        """As labels.py computes it."""
        return FutureReturn(timedelta(minutes=self.minutes))


class BarrierLabel(_Part):
    """Which barrier is touched first within so many minutes."""

    kind: Literal["triple_barrier"]
    minutes: Minutes
    up_bps: Annotated[float, Field(gt=0, le=100_000)]
    down_bps: Annotated[float, Field(gt=0, lt=10_000)]

    def label(self) -> Label:
        """As labels.py computes it."""
        return TripleBarrier(timedelta(minutes=self.minutes), self.up_bps, self.down_bps)


class HeldOut(_Part):
    """Which moments are tested on; so long after the last of their labels none is trained on.

    Without `embargo_minutes` it is as long as the features look back: then no row that is trained on after the test has seen it.
    """

    start: Moment
    end: Moment
    embargo_minutes: Annotated[int, Field(ge=0, le=525_600)] | None = None


class TrainingSpec(_Part):
    """A training set as it is asked for."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    instruments: Annotated[list[str], Field(min_length=1)]
    start: Moment
    end: Moment
    every_minutes: Minutes = 1
    features: Annotated[list[str], Field(min_length=1)]
    labels: list[Annotated[ReturnLabel | BarrierLabel, Field(discriminator="kind")]] = Field(default_factory=list)
    test: HeldOut | None = None

    @field_validator("instruments")
    @classmethod
    def _all_or_some(cls, names: list[str]) -> list[str]:
        if "*" in names and len(names) > 1:
            raise ValueError("'*' is all instruments: it stands alone")
        return names

    @field_validator("features")
    @classmethod
    def _are_declared(cls, names: list[str]) -> list[str]:
        if names == ["*"]:
            return names
        for name in names:
            if name not in FEATURES:
                near = get_close_matches(name, FEATURES, n=1, cutoff=0.5)
                raise ValueError(f"there is no feature {name}{f', did you mean {near[0]}' if near else ''}")
        if len(set(names)) < len(names):
            raise ValueError("a feature is named twice")
        return names

    @model_validator(mode="after")
    def _has_moments(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end does not lie after start")
        if any(at.second or at.microsecond for at in (self.start, self.end)):
            raise ValueError("start and end are whole minutes")
        if self.test is not None and not self.start <= self.test.start < self.test.end <= self.end:
            raise ValueError("the test does not lie within start and end")
        if len({each.label().name for each in self.labels}) < len(self.labels):
            raise ValueError("a label is named twice")
        return self

    @property
    def feature_names(self) -> list[str]:
        """The features, with all that are declared where all are asked for."""
        return list(FEATURES) if self.features == ["*"] else list(self.features)

    @property
    def horizon(self) -> timedelta:
        """How far the longest label looks ahead."""
        return max((each.label().horizon for each in self.labels), default=timedelta(0))

    @property
    def embargo(self) -> timedelta:
        """How long after the last label of the test no row is trained on."""
        if self.test is None:
            return timedelta(0)
        minutes = self.test.embargo_minutes
        if minutes is not None:
            return minutes * MINUTE
        # Its own minute is one of those that a value is made from, and the row that a moment sees may be as old as it may be.
        return (look_back(self.feature_names) + 1) * MINUTE + TTL

    @property
    def sha256(self) -> str:
        """A hash of what is asked for, but for the name: order of keys and way of writing make no difference."""
        told = json.dumps(self.model_dump(mode="json", exclude={"name"}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(told.encode()).hexdigest()


def read_spec(path: Path) -> TrainingSpec:
    """Read a specification from a file of YAML.

    Raises:
        SpecRefused: it cannot be read or understood.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecRefused(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SpecRefused(f"{path}: it is no YAML: {' '.join(str(error).split())}") from error
    return parse_spec(given, str(path))


def parse_spec(given: object, where: str) -> TrainingSpec:
    """Read a specification from what YAML or a manifest says; `where` it stands is told with what is wrong.

    Raises:
        SpecRefused: it cannot be understood.
    """
    try:
        return TrainingSpec.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SpecRefused(f"{where}: {place or 'the whole'}: {first['msg'].removeprefix('Value error, ')}") from error


def parse_moment(text: str, where: str) -> datetime:
    """Read a time: a day is its midnight, UTC where it names no zone.

    Raises:
        SpecRefused: it is none.
    """
    try:
        return _MOMENT.validate_python(text)
    except ValidationError as error:
        raise SpecRefused(f"{where}: {text!r} is no time. Write a day such as 2025-03-06, or 2025-03-06T15:30:00Z") from error
