"""The price list: what disk, objects, requests and machines cost, and what a month may.

Belongs here: its words, and refusing a list that says too little or contradicts itself. Does not: where the file lies (archive/), what
anything costs by it (costs.py). Money is a decimal: the text of the file becomes one without a float on the way.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Self

import yaml  # type: ignore[import-untyped]  # PyYAML publishes no types of its own
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from rrr_assets.calc.outcomes import PermanentFailure

Usd = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=24, decimal_places=12)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Name = Annotated[str, Field(min_length=1, max_length=80)]


class PricesRefused(PermanentFailure):
    """The price list cannot be used as it is: the message names the field, and says what to write."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Disk(_Part):
    """Block storage. It is filled to `fill_percent` and no further, and is had in whole GiB, `least_gib` at least."""

    usd_per_gib_month: Usd
    fill_percent: Annotated[int, Field(ge=1, le=100)] = 100
    least_gib: Annotated[int, Field(ge=0, le=10**6)] = 0


class ObjectClass(_Part):
    """A storage class of an object store. A smaller object is charged as one of `least_object_bytes`."""

    usd_per_gib_month: Usd
    usd_per_1000_puts: Usd
    usd_per_1000_gets: Usd
    usd_per_gib_read: Usd = Decimal(0)
    least_object_bytes: Annotated[int, Field(ge=0, le=10**9)] = 0


class Machine(_Part):
    """A machine that runs the database."""

    name: Name
    vcpu: Count
    memory_gib: Count
    usd_per_hour: Usd


class Offer(_Part):
    """Whose prices: of disk, machines from small to large, and classes of objects, one of which is used."""

    name: Name
    source: str
    disk: Disk
    machines: Annotated[tuple[Machine, ...], Field(min_length=1)]
    objects: Annotated[dict[str, ObjectClass], Field(min_length=1)]
    object_class: str

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.object_class not in self.objects:
            raise ValueError(f"object_class {self.object_class} is none of objects: {', '.join(self.objects)}")
        prices = [machine.usd_per_hour for machine in self.machines]
        if prices != sorted(prices):
            raise ValueError("machines must stand from the cheapest to the dearest")
        return self

    @property
    def objects_used(self) -> ObjectClass:
        """The class that the archive lies in."""
        return self.objects[self.object_class]


class Sizing(_Part):
    """Which machine a volume needs: by rows a second at the peak, and by the part of a hot day that is to lie in memory."""

    rows_per_second_per_vcpu: Count
    peak_factor: Annotated[Decimal, Field(ge=1, le=1000)]
    memory_percent_of_hot_day: Annotated[int, Field(ge=0, le=1000)]
    hours_per_month: Annotated[int, Field(ge=1, le=744)] = 730
    machines: Annotated[int, Field(ge=1, le=100)] = 1


class Target(_Part):
    """What a month may cost at so many times the volume."""

    name: Name
    factor: Count
    monthly_usd: Usd


class PriceList(_Part):
    """The whole list. The first offer is what the report is in."""

    as_of: date
    region: Name
    monthly_budget_usd: Usd
    offers: Annotated[tuple[Offer, ...], Field(min_length=1)]
    sizing: Sizing
    targets: tuple[Target, ...] = ()

    @model_validator(mode="after")
    def _name_once(self) -> Self:
        names = [offer.name for offer in self.offers]
        if len(set(names)) != len(names):
            raise ValueError(f"two offers have one name: {', '.join(names)}")
        return self

    @property
    def offer(self) -> Offer:
        """The one that the report is in."""
        return self.offers[0]


_ROOT: Final = "the list"


def parse_prices(text: str, where: str) -> PriceList:
    """Read a price list.

    Args:
        text: YAML.
        where: What the text is called where it is refused.

    Raises:
        PricesRefused: it is no YAML, or a field is missing, unknown or wrong; names each.
    """
    try:
        # Its base loader makes text of every number, which is what a decimal is read from.
        told = yaml.load(text, yaml.BaseLoader)  # noqa: S506  # it makes texts, lists and mappings and nothing else
    except yaml.YAMLError as error:
        raise PricesRefused(f"{where} is not YAML: {' '.join(str(error).split())}. Correct it") from error
    if not isinstance(told, dict):
        raise PricesRefused(f"{where} is no price list: it must begin with fields such as as_of and offers")
    try:
        return PriceList.model_validate(told)
    except ValidationError as error:
        wrong = "; ".join(_told(each) for each in error.errors())
        raise PricesRefused(f"{where} cannot be used: {wrong}. Correct these fields") from error


def _told(error: ErrorDetails) -> str:
    return f"{'.'.join(str(part) for part in error['loc']) or _ROOT}: {error['msg'].removeprefix('Value error, ')}"
