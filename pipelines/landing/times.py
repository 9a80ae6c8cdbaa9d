"""Instants and dates from text: RFC 3339, epoch seconds or milliseconds, and local times that name no offset.

The rules, each of which ``docs/times.md`` states for senders:

- a number is in the record's ``epoch_unit``. Without one it is seconds when its whole part has 9 or 10 digits (1973 to
  2286) and milliseconds when it has 13 (2001 to 2286); every other number is refused.
- a local time takes the record's ``timezone``, or else the tenant's. One that a clock change skips moves forward by
  the length of the gap; one that happens twice is the first.
- ``:60`` is the last microsecond of its minute, and is right only where UTC has leap seconds: at the end of a month.
  Decimals of a second beyond six are cut.
- years 0001 to 9999 in UTC; everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import known_zone as known_zone
from pipelines.landing import values

INSTANT = pl.Datetime("us", "UTC")
#: Units in which a sender may count from 1970, in microseconds.
EPOCH_UNITS = {"s": 1_000_000, "ms": 1_000}
#: Digits of a number without a unit. Dates written without marks have 8, 12 or 14 and are no such numbers.
_UNIT_OF_DIGITS = {9: "s", 10: "s", 13: "ms"}

_OFFSET = r"([+-])(\d\d)(?::?(\d\d))?"
_RFC3339 = re.compile(
    rf"(\d{{4}})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s?(?:([Zz])|{_OFFSET})?", re.ASCII
)
_EPOCH = re.compile(r"(-?)(\d{1,15})(?:\.(\d+))?", re.ASCII)
#: Forms of one width that a vectorised parser reads: decimals of a second -> format without the offset.
_FAST = {0: "%Y-%m-%dT%H:%M:%S", 3: "%Y-%m-%dT%H:%M:%S.%3f", 6: "%Y-%m-%dT%H:%M:%S.%6f"}
#: What the vectorised parser may be shown: it reads blanks as digits, and short years.
_STRICT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$"
)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Clock:
    """How some rows write time.

    Attributes:
        zone: the tenant's zone, for local times of rows that name none.
        zones: String of IANA names for local times; None where no row names one.
        units: String, ``s`` or ``ms``, for numbers; None where no row says.
    """

    zone: ZoneInfo
    zones: pl.Series | None = None
    units: pl.Series | None = None

    def of(self, rows: pl.Series) -> Clock:
        """The same for some of the rows, given by their numbers."""
        zones, units = (None if column is None else column.gather(rows) for column in (self.zones, self.units))
        return Clock(self.zone, zones, units)

    def columns(self, height: int) -> dict[str, pl.Series]:
        """What rows say themselves, as columns ``zone`` and ``unit``."""
        nothing = values.nothing(pl.String, height)
        return {
            "zone": nothing if self.zones is None else self.zones,
            "unit": nothing if self.units is None else self.units,
        }

    def like(self, frame: pl.DataFrame) -> Clock:
        """The same for other rows, from columns as ``columns`` gives them."""
        said = ((self.zones, frame["zone"]), (self.units, frame["unit"]))
        zones, units = (None if column is None else found for column, found in said)
        return Clock(self.zone, zones, units)


def instants(texts: pl.Series, clock: Clock) -> pl.Series:
    """UTC instants of texts, Datetime(us, UTC); null where the text is null or no instant.

    Args:
        texts: String.
        clock: how these rows write time.
    """
    return instants_and_plain(texts, clock)[0]


def instants_and_plain(texts: pl.Series, clock: Clock) -> tuple[pl.Series, pl.Series]:
    """The same, and where the text is written plainly: as RFC 3339 with ``T`` and an offset, or as a usual number."""
    result = _fixed_width(texts, clock.units)
    plain = result.is_not_null()
    left = ~plain & texts.is_not_null()
    if not left.any():
        return result, plain
    rows = left.arg_true()
    slow = pl.DataFrame({"text": texts.gather(rows), **clock.of(rows).columns(len(rows))})
    slow = slow.with_columns(pl.col("zone").fill_null(clock.zone.key))
    distinct = slow.unique(maintain_order=True)
    parsed = [_instant(text, zone, unit) for text, zone, unit in distinct.iter_rows()]
    known = distinct.with_columns(pl.Series("instant", parsed, dtype=INSTANT))
    keys = ["text", "zone", "unit"]
    found = slow.join(known, on=keys, how="left", nulls_equal=True, maintain_order="left")["instant"]
    return result.scatter(rows, found), plain


def _fixed_width(texts: pl.Series, units: pl.Series | None) -> pl.Series:
    """What has one of the usual widths, read a column at a time; null where the exact way has to look."""
    result = values.nothing(INSTANT, len(texts)).rename(texts.name)
    widths = texts.str.len_bytes()
    for width in widths.drop_nulls().unique():
        read = _reader(width, units)
        if read is None:
            continue
        mine = widths == width
        if mine.all():
            return read(texts).rename(texts.name)
        rows = mine.arg_true()
        result = result.scatter(rows, read(texts.gather(rows)))
    return result


def _reader(width: int, units: pl.Series | None) -> Callable[[pl.Series], pl.Series] | None:
    """The parser for texts of a width, where there is one."""
    if width in _UNIT_OF_DIGITS and units is None:
        return partial(_whole_numbers, EPOCH_UNITS[_UNIT_OF_DIGITS[width]])
    for decimals, form in _FAST.items():
        body = 19 + (decimals and decimals + 1)
        if width in (body + 1, body + 6):
            return partial(_with_offset, body, form)
    return None


def _whole_numbers(micros: int, texts: pl.Series) -> pl.Series:
    digits = texts.str.contains(r"^[0-9]+$")
    counted = texts.cast(pl.Int64, strict=False) * micros
    return _where(digits, counted.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def _with_offset(body: int, form: str, texts: pl.Series) -> pl.Series:
    local = texts.str.slice(0, body).str.strptime(pl.Datetime("us"), form, strict=False)
    utc = local.dt.replace_time_zone("UTC")
    if (texts.str.len_bytes() > body + 1).any():
        hours = texts.str.slice(body, 3).cast(pl.Int64, strict=False)
        minutes = texts.str.slice(body + 4, 2).cast(pl.Int64, strict=False)
        backwards = (texts.str.slice(body, 1) == "-").cast(pl.Int64)
        total = hours * 60 + minutes * (1 - 2 * backwards)
        utc = utc - (total * 60_000_000).cast(pl.Duration("us"))
    # The far ends of time and what is not plainly written go the exact way, whatever was made of them here.
    plain = texts.str.contains(_STRICT) & (local >= _FIRST.replace(tzinfo=None))
    return _where(plain & utc.is_between(_FIRST, _LAST), utc)


def _where(mask: pl.Series, found: pl.Series) -> pl.Series:
    return found.zip_with(mask.fill_null(False), values.nothing(INSTANT, len(found)))


def _instant(text: str, zone: str, unit: str | None) -> datetime | None:
    """One text, the exact way."""
    match = _RFC3339.fullmatch(text)
    try:
        if match is None:
            return _epoch(text, unit)
        year, month, day, hour, minute, second, fraction, utc, sign, hours, minutes = match.groups()
        leap = second == "60"
        seconds = 59 if leap else int(second or 0)
        micro = 999_999 if leap else int((fraction or "0")[:6].ljust(6, "0"))
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), seconds, micro)  # noqa: DTZ001
        instant = _in_utc(local, "+" if utc else sign, hours, minutes, zone)
        return None if leap and instant is not None and not _ends_month(instant) else instant
    except (ValueError, OverflowError):
        return None


def _in_utc(local: datetime, sign: str | None, hours: str | None, minutes: str | None, zone: str) -> datetime | None:
    if sign is None:
        return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC) if known_zone(zone) else None
    ahead, more = int(hours or 0), int(minutes or 0)
    if ahead > 23 or more > 59:
        return None
    offset = timedelta(hours=ahead, minutes=more) * (1 if sign == "+" else -1)
    return local.replace(tzinfo=timezone(offset)).astimezone(UTC)


def _ends_month(instant: datetime) -> bool:
    following = instant + timedelta(microseconds=1)
    return following.day == 1 and following.hour == 0 and following.minute == 0


def _epoch(text: str, unit: str | None) -> datetime | None:
    match = _EPOCH.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    unit = unit or (None if sign else _UNIT_OF_DIGITS.get(len(whole)))
    if unit is None:
        return None
    factor = EPOCH_UNITS[unit]
    decimals = len(str(factor)) - 1
    micros = int(whole) * factor + int((fraction or "0")[:decimals].ljust(decimals, "0"))
    return _EPOCH_START + timedelta(microseconds=-micros if sign else micros)


def dates(texts: pl.Series) -> pl.Series:
    """Dates of ``YYYY-MM-DD`` texts; null where the text is null or no date."""
    shaped = texts.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")
    parsed = texts.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
    return parsed.zip_with((shaped & (parsed >= date(1, 1, 1))).fill_null(False), values.nothing(pl.Date, len(texts)))


def instant_text(instant: pl.Expr) -> pl.Expr:
    """RFC 3339 in UTC with microseconds and ``Z``."""
    return instant.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
