"""What an operator decides about one lake: prices, names and clocks, in `<lake>/settings.toml`.

cluster = "alpha"                  # of files that do not name theirs; "" leaves them unnamed
zone = "Europe/Berlin"             # of local times without an offset
week_close_hours = 48              # late rows are waited for this long before a week is closed
observed_from = 2026-03-02         # the fleet was watched from here ...
observed_until = 2026-03-16        # ... to here, whatever the last record is; both optional

[retention]                        # what may go, and when; all else is kept for good
gpu_samples = "30d"                # days or hours ("72h") after the partition's end

[[prices]]                         # one price holds at a time; valid_to may be left out
valid_from = 2026-01-01
currency = "USD"
price_per_gpu_hour = 2.35

[[calendar]]                       # what changed: shown beside changes of rates
day = 2026-03-09
kind = "driver"                    # or detector, firmware, hall, workload
what = "driver 570 on all nodes"
class = "GPU"                      # that it bears on; this and hall may be left out

[[models]] and [[peaks]]           # what MFU is a share of: see mfu_settings
"""

import os
import re
import tomllib
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from flows import mfu_settings
from flows.errors import DataError
from transforms import eras

FILE = "settings.toml"
LISTS = ("prices", "calendar", "retention", "models", "peaks")
DEFAULT_LAKE = Path("lake")


class SettingsError(DataError):
    """settings.toml says something that cannot be meant."""


@dataclass(frozen=True)
class Price:
    """What a GPU-hour costs during [valid_from, valid_to); an open end is None."""

    valid_from: datetime
    valid_to: datetime | None
    currency: str
    price_per_gpu_hour: float


@dataclass(frozen=True)
class Change:
    """A change that people made, which may bear on one class of failures or one hall alone."""

    day: date
    kind: str
    what: str
    klass: str | None
    hall: str | None


@dataclass(frozen=True)
class Settings:
    cluster: str = ""
    zone: str = "UTC"
    report_zone: str = "UTC"
    week_close_hours: int = 48
    observed_from: datetime | None = None
    observed_until: datetime | None = None
    prices: tuple[Price, ...] = ()
    calendar: tuple[Change, ...] = ()
    retention: tuple[tuple[str, timedelta], ...] = ()
    models: tuple[mfu_settings.Model, ...] = ()
    peaks: tuple[mfu_settings.Peak, ...] = ()


def lake_root(given: Path | None = None) -> Path:
    """Where the lake is: the caller's word, else FAULTLEDGER_LAKE, else ./lake."""
    return given or Path(os.environ.get("FAULTLEDGER_LAKE") or DEFAULT_LAKE)


def load(root: Path) -> Settings:
    """Read the lake's settings; a lake without the file has the defaults."""
    path = root / FILE
    if not path.is_file():
        return Settings()
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}. Correct the TOML.") from error
    known = {field.name for field in fields(Settings)}
    if strange := sorted(said.keys() - known):
        raise SettingsError(
            f"{path}: unknown setting {', '.join(strange)}. Known are {', '.join(sorted(known))}."
        )
    try:
        return _settings(said)
    except (KeyError, TypeError, ValueError, AttributeError, ZoneInfoNotFoundError) as error:
        raise SettingsError(f"{path}: {_reason(error)}. Correct the setting.") from error


def price_rows(said: Settings) -> pl.DataFrame:
    """The prices as the warehouse's table `prices`."""
    utc = pl.Datetime("us", "UTC")
    ends = {"valid_from": utc, "valid_to": utc}
    schema = ends | {"currency": pl.String, "price_per_gpu_hour": pl.Float64}
    return pl.DataFrame([vars(price) for price in said.prices], schema=schema)


def calendar_rows(said: Settings) -> pl.DataFrame:
    """The changes as the warehouse's table `calendar`."""
    told = [(one.day, one.kind, one.what, one.klass, one.hall) for one in said.calendar]
    return pl.DataFrame(told, schema=eras.SCHEMA, orient="row")


def rows(said: Settings, facts: dict[str, str]) -> pl.DataFrame:
    """Every other setting and some facts about the lake, one row each."""
    values = {name: value for name, value in vars(said).items() if name not in LISTS} | facts
    spelled = [(name, None if v is None else str(v)) for name, v in values.items()]
    return pl.DataFrame(spelled, schema={"name": pl.String, "value": pl.String}, orient="row")


def _settings(said: dict[str, Any]) -> Settings:
    whole = Settings(
        cluster=_text(said, "cluster", ""),
        zone=_zone(said, "zone"),
        report_zone=_zone(said, "report_zone"),
        week_close_hours=int(said.get("week_close_hours", 48)),
        observed_from=instant(said["observed_from"]) if "observed_from" in said else None,
        observed_until=instant(said["observed_until"]) if "observed_until" in said else None,
        prices=tuple(sorted(map(_price, said.get("prices", [])), key=lambda p: p.valid_from)),
        calendar=tuple(
            sorted(map(_change, said.get("calendar", [])), key=lambda c: (c.day, c.kind, c.what))
        ),
        retention=tuple(sorted((n, _age(n, age)) for n, age in said.get("retention", {}).items())),
        models=tuple(map(mfu_settings.model, said.get("models", []))),
        peaks=tuple(map(mfu_settings.peak, said.get("peaks", []))),
    )
    for earlier, later in zip(whole.prices, whole.prices[1:], strict=False):
        if earlier.valid_to is None or earlier.valid_to > later.valid_from:
            raise ValueError(f"two prices hold on {later.valid_from:%Y-%m-%d}: close the earlier")
    if whole.week_close_hours < 0:
        raise ValueError("week_close_hours is negative")
    return whole


def _price(said: dict[str, Any]) -> Price:
    price = Price(
        valid_from=instant(said["valid_from"]),
        valid_to=instant(said["valid_to"]) if "valid_to" in said else None,
        currency=_text(said, "currency", None),
        price_per_gpu_hour=float(said["price_per_gpu_hour"]),
    )
    if not price.price_per_gpu_hour >= 0:
        raise ValueError("price_per_gpu_hour is negative")
    if price.valid_to is not None and price.valid_to <= price.valid_from:
        raise ValueError(f"the price from {price.valid_from:%Y-%m-%d} ends before it begins")
    return price


def _age(name: str, said: object) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([dh])", said) if isinstance(said, str) else None
    if not found:
        raise ValueError(f'retention of {name} is {said!r}: say days or hours, as "30d" or "72h"')
    return timedelta(**{{"d": "days", "h": "hours"}[found[2]]: int(found[1])})


def _change(said: dict[str, Any]) -> Change:
    from transforms.tables.derived import CLASSES  # only who keeps a calendar waits for it

    if strange := sorted(said.keys() - {"day", "kind", "what", "class", "hall"}):
        raise ValueError(f"calendar: unknown {', '.join(strange)}")
    change = Change(
        day=instant(said["day"]).date(),
        kind=_text(said, "kind", None),
        what=_text(said, "what", None),
        klass=_text(said, "class", None) if "class" in said else None,
        hall=_text(said, "hall", None) if "hall" in said else None,
    )
    if change.kind not in eras.KINDS:
        raise ValueError(f"calendar: kind {change.kind!r} is none of {', '.join(eras.KINDS)}")
    if change.klass is not None and change.klass not in CLASSES:
        raise ValueError(f"calendar: class {change.klass!r} is none of {', '.join(CLASSES)}")
    return change


def instant(said: str | date | datetime) -> datetime:
    """Read a day or an instant; one without an offset is UTC, a day is its first moment."""
    if isinstance(said, str):
        said = datetime.fromisoformat(said)
    if not isinstance(said, datetime):
        said = datetime(said.year, said.month, said.day)  # noqa: DTZ001
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)


def _zone(said: dict[str, Any], name: str) -> str:
    zone = _text(said, name, "UTC")
    ZoneInfo(zone)
    return zone


def _text(said: dict[str, Any], name: str, default: str | None) -> str:
    value = said[name] if default is None else said.get(name, default)
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, a text is needed")
    return value


def _reason(error: Exception) -> str:
    return f"{error} is missing" if type(error) is KeyError else str(error)
