"""The settings of quality: thresholds, targets, sources that heal, channels that are told.

Belongs here: their words and defaults, and refusing settings that say what nobody understands. Does not: where the file lies
(`RRR_QUALITY_CONFIG`, read by `resources/quality_settings`), what is done by them. Statistics are floats here; no money is.

A file names what differs from the defaults, nothing else:

    thresholds:
      "*": {gap_seconds: 300}
      "gemini:*": {volume_ratio: 8}
      "gemini:ETHUSD": {gap_seconds: 900}
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml  # type: ignore[import-untyped]  # PyYAML publishes no types of its own
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rrr_assets.calc.outcomes import PermanentFailure

Seconds = Annotated[float, Field(gt=0, le=366 * 86_400)]
Ratio = Annotated[float, Field(gt=0, le=1_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]


class QualityConfigRefused(PermanentFailure):
    """The settings cannot be used as they are: the message names the file, the field, and what to write."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Part):
    """From where on a value is worth a row, for one instrument. The first five are those of the legacy validator."""

    gap_seconds: Seconds = Field(300, description="Longest silence between trades, where ids do not prove that nobody traded.")
    price_change: Share = Field(0.20, description="Change of the close from one 1-minute bar to the next, as a share.")
    volume_ratio: Ratio = Field(5, description="Volume of a minute over the mean of the window before it.")
    return_z: Ratio = Field(4, description="Robust z-score of a 1-minute return: by median and MAD of the window before it.")
    window_minutes: Annotated[int, Field(ge=10, le=10_080)] = Field(60, description="Bars of the rolling window.")
    outside_quote_bps: Ratio = Field(50, description="How far a trade may lie outside the quote that stood then, in basis points.")
    clock_skew_seconds: Seconds = Field(5, description="How far the receive time may be from the event time, beyond the usual lag.")
    frozen_seconds: Seconds = Field(600, description="How long a feed may repeat the same values while messages go on.")
    late_seconds: Seconds = Field(60, description="From what lag between event and receive time on a row is late.")
    seasonal_z: Ratio = Field(6, description="Robust z-score against the hour of the week that two windows must reach, or as much.")


class Sla(_Part):
    """What is promised. `objective` of days, rows or looks; freshness is promised where seconds are given."""

    objective: Share = 0.999
    due_seconds: Seconds = Field(3600, description="How long after a day's end what is expected of it may still come.")
    freshness_seconds: dict[str, Seconds] = Field(default_factory=dict, description="By stream: trades, agg_trades, quotes, depth.")


class HealingSource(_Part):
    """Where missing data can be had. `kind` says how it is asked."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    kind: Literal["binance-vision", "binance-rest", "mirror"]
    url: str | None = Field(None, description="An address; of a mirror, its folder. The venue's own where it is not given.")
    format: str | None = Field(None, description="Of a mirror's files, where they are not Binance's daily files.")
    instruments: tuple[str, ...] = Field(("*",), description="What it is asked for: VENUE:SYMBOL, VENUE:* or *.")

    @model_validator(mode="after")
    def _mirror_has_a_folder(self) -> Self:
        if self.kind == "mirror" and not self.url:
            raise ValueError("a mirror needs its folder as url")
        if self.url and not self.url.isprintable():
            raise ValueError("the url has characters that are not printed")
        return self


class Healing(_Part):
    """How gaps are healed: the sources are asked in their order, the next one where one does not have it."""

    is_on: bool = True
    sources: tuple[HealingSource, ...] = ()
    first_wait_seconds: Seconds = 60
    longest_wait_seconds: Seconds = 86_400
    most_gaps_a_run: Annotated[int, Field(ge=1, le=10_000)] = 50

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        return self


class Channel(_Part):
    """Who is told. A secret (token, address with a token, password) is named by its environment variable, never written here."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    kind: Literal["slack", "webhook", "email"]
    severities: tuple[Literal["page", "warn"], ...] = ("page",)
    is_quiet: bool = Field(True, description="Whether quiet hours hold back what does not page.")
    token_variable: str | None = None
    url_variable: str | None = None
    url: str | None = None
    channel: str | None = None
    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    user: str | None = Field(
        None, description="Who logs in to the mail server with the secret of `token_variable`; the sender where not given."
    )
    sender: str | None = None
    recipients: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        needed = {
            "slack": (("token_variable", self.token_variable), ("channel", self.channel)),
            "webhook": (("url or url_variable", self.url or self.url_variable),),
            "email": (("host", self.host), ("sender", self.sender), ("recipients", self.recipients)),
        }[self.kind]
        if missing := [name for name, given in needed if not given]:
            raise ValueError(f"channel {self.name} of kind {self.kind} needs {' and '.join(missing)}")
        return self


class QuietHours(_Part):
    """When only what pages is sent, in UTC hours; over midnight where `from_hour` is the later one."""

    from_hour: Annotated[int, Field(ge=0, le=23)]
    to_hour: Annotated[int, Field(ge=0, le=23)]


class Alerting(_Part):
    """Who is told of what, and when."""

    channels: tuple[Channel, ...] = ()
    quiet_hours: QuietHours | None = None
    severities: dict[str, Literal["page", "warn", "off"]] = Field(default_factory=dict, description="By rule, where it is not the default.")
    worse_factor: Ratio = Field(2, description="How much worse it must get to be told again.")
    settle_seconds: Annotated[int, Field(ge=0, le=86_400)] = Field(
        120, description="How long something must be over before that is told; longer for what comes back again and again."
    )

    @field_validator("severities", mode="before")
    @classmethod
    def _off_is_a_word(cls, given: Any) -> Any:
        # YAML reads off without quotes as false.
        return {rule: "off" if told is False else told for rule, told in given.items()} if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _channels_have_names_of_their_own(self) -> Self:
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("two channels have one name")
        return self


class FeatureDrift(_Part):
    """From where on a feature's day is told to lie off its reference, and what the reference is."""

    psi_moderate: Ratio = Field(0.1, description="Population stability index from which on a feature has moved.")
    psi_large: Ratio = Field(0.25, description="Population stability index from which on it has drifted, and a check warns.")
    beyond_usual: Ratio = Field(2, description="How many times what days of the reference differ by from each other it must reach, too.")
    missing_rise: Share = Field(0.05, description="How far the share of nulls may lie above that of the reference.")
    out_of_range: Share = Field(0.05, description="Share of the values that may lie outside the range of the reference.")
    reference_days: Annotated[int, Field(ge=1, le=366)] = Field(14, description="Days of a rolling reference.")
    training_set: str | None = Field(None, description="The name of the set that alone is held against; the newest that is held else.")

    @model_validator(mode="after")
    def _moderate_is_less(self) -> Self:
        if self.psi_moderate > self.psi_large:
            raise ValueError("psi_moderate lies above psi_large")
        return self


class QualitySettings(_Part):
    """All of it."""

    thresholds: dict[str, dict[str, float]] = Field(default_factory=dict)
    sla: dict[str, Sla] = Field(default_factory=dict)
    healing: Healing = Healing()
    alerts: Alerting = Field(default_factory=lambda: Alerting.model_validate({}))
    feature_drift: FeatureDrift = Field(default_factory=lambda: FeatureDrift.model_validate({}))

    def thresholds_of(self, instrument: str) -> Thresholds:
        """Those of an instrument: its own over its venue's over everybody's over the defaults."""
        given: dict[str, float] = {}
        for scope in scopes(instrument):
            given |= self.thresholds.get(scope, {})
        return Thresholds.model_validate(given)

    def sla_of(self, instrument: str) -> Sla:
        """The narrowest that is given."""
        for scope in reversed(scopes(instrument)):
            if scope in self.sla:
                return self.sla[scope]
        return Sla.model_validate({})


def scopes(instrument: str) -> tuple[str, str, str]:
    """What holds for an instrument, the widest first: *, VENUE:*, VENUE:SYMBOL."""
    return ("*", f"{instrument.partition(':')[0]}:*", instrument)


def covers(patterns: tuple[str, ...], instrument: str) -> bool:
    """Whether an instrument is among those that are named so."""
    return any(scope in patterns for scope in scopes(instrument))


DEFAULTS: Final = QualitySettings()


@cache
def _read(path: str, _changed_ns: int) -> QualitySettings:
    try:
        content: Any = yaml.safe_load(Path(path).read_text("utf-8")) or {}
        settings = QualitySettings.model_validate(content)
        for scope, given in settings.thresholds.items():
            Thresholds.model_validate(given)
            if scope != "*" and ":" not in scope:
                raise QualityConfigRefused(f"{path}: thresholds of '{scope}': write *, VENUE:* or VENUE:SYMBOL")
    except OSError as error:
        raise QualityConfigRefused(f"{path}: {error.strerror}. RRR_QUALITY_CONFIG names a file of settings") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise QualityConfigRefused(f"{path}: it is no YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise QualityConfigRefused(f"{path}: {field}: {first['msg']}") from error
    return settings


def read_settings(path: Path | None) -> QualitySettings:
    """The settings of a file; the defaults where there is none.

    Raises:
        QualityConfigRefused: the file is not there, or cannot be understood.
    """
    if path is None:
        return DEFAULTS
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise QualityConfigRefused(f"{path}: {error.strerror}. RRR_QUALITY_CONFIG names a file of settings") from error
    return _read(str(path), changed_ns)
