"""Instants and dates from text: RFC 3339, epoch seconds or milliseconds, and local times that name no offset.

The rules, each of which ``docs/sending-data.md`` states for senders:

- a whole number below 10^11 in size is epoch seconds (until the year 5138), below 10^14 milliseconds; anything
  larger is refused. Seconds may have up to six decimals; more are cut.
- a local time takes the record's ``timezone``, or else the tenant's. One that a clock change skips moves forward by
  the length of the gap; one that happens twice is the first.
- a leap second ``:60`` is the last microsecond of its minute. Decimals of a second beyond six are cut.
- years 0001 to 9999 in UTC; everything else is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import polars as pl

INSTANT = pl.Datetime("us", "UTC")
EPOCH_SECONDS_BELOW = 10**11
EPOCH_MILLISECONDS_BELOW = 10**14

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)
_EPOCH = re.compile(r"(-?)(\d{1,14})(?:\.(\d+))?", re.ASCII)
#: Forms of one fixed width that a vectorised parser reads: length -> format.
_FAST = {20: "%Y-%m-%dT%H:%M:%SZ", 24: "%Y-%m-%dT%H:%M:%S.%3fZ", 27: "%Y-%m-%dT%H:%M:%S.%6fZ"}
_FIRST = datetime(1, 1, 1, tzinfo=UTC)


def instants(texts: pl.Series, zones: pl.Series | None, tenant_zone: ZoneInfo) -> pl.Series:
    """UTC instants of texts, Datetime(us, UTC); null where the text is null or no instant.

    Args:
        texts: String.
        zones: String of IANA names for local times, or None; null rows take the tenant's zone.
        tenant_zone: the tenant's zone.
    """
    fast = _fixed_width(texts)
    left = fast.is_null() & texts.is_not_null()
    if not left.any():
        return fast
    rows = left.arg_true()
    chosen = (
        zones.gather(rows) if zones is not None else pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))
    )
    slow = pl.DataFrame({"text": texts.gather(rows), "zone": chosen.fill_null(tenant_zone.key)})
    distinct = slow.unique(maintain_order=True)
    parsed = [_instant(text, zone) for text, zone in distinct.iter_rows()]
    known = distinct.with_columns(pl.Series("instant", parsed, dtype=INSTANT))
    found = slow.join(known, on=["text", "zone"], how="left", maintain_order="left")["instant"]
    return fast.scatter(rows, found)


def _fixed_width(texts: pl.Series) -> pl.Series:
    widths = texts.str.len_bytes()
    result = pl.Series(texts.name, [None], dtype=INSTANT).new_from_index(0, len(texts))
    for width, form in _FAST.items():
        mine = widths == width
        if mine.all() and len(texts):
            parsed = texts.str.strptime(pl.Datetime("us"), form, strict=False).dt.replace_time_zone("UTC")
            return parsed.zip_with(
                _plausible(texts, parsed), pl.Series([None], dtype=INSTANT).new_from_index(0, len(texts))
            )
        if mine.any():
            rows = mine.arg_true()
            some = texts.gather(rows)
            parsed = some.str.strptime(pl.Datetime("us"), form, strict=False).dt.replace_time_zone("UTC")
            kept = _plausible(some, parsed).arg_true()
            result = result.scatter(rows.gather(kept), parsed.gather(kept))
    return result


def _plausible(texts: pl.Series, parsed: pl.Series) -> pl.Series:
    """Leap seconds and year 0 go the exact way, whatever the fast parser made of them."""
    return parsed.is_not_null() & (texts.str.slice(17, 2) != "60") & (parsed >= _FIRST)


def _instant(text: str, zone: str) -> datetime | None:
    """One text, the exact way."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return _epoch(text)
    year, month, day, hour, minute, second, fraction, _, sign, off_h, off_m = match.groups()
    micro = int((fraction or "0")[:6].ljust(6, "0"))
    seconds = int(second or 0)
    if seconds == 60:
        seconds, micro = 59, 999_999
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), seconds, micro)  # noqa: DTZ001
        if match.group(8):
            return local.replace(tzinfo=UTC)
        if sign:
            if int(off_h) > 23 or int(off_m) > 59:
                return None
            offset = timedelta(hours=int(off_h), minutes=int(off_m)) * (1 if sign == "+" else -1)
            return local.replace(tzinfo=timezone(offset)).astimezone(UTC)
        return local.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC) if known_zone(zone) else None
    except (ValueError, OverflowError):
        return None


def _epoch(text: str) -> datetime | None:
    match = _EPOCH.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    number = int(whole)
    if number < EPOCH_SECONDS_BELOW:
        micros = number * 1_000_000 + int((fraction or "0")[:6].ljust(6, "0"))
    elif number < EPOCH_MILLISECONDS_BELOW:
        micros = number * 1_000 + int((fraction or "0")[:3].ljust(3, "0"))
    else:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=-micros if sign else micros)
    except OverflowError:
        return None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def known_zone(name: str) -> bool:
    """Whether the name is an IANA zone."""
    return name in _zones()


def dates(texts: pl.Series) -> pl.Series:
    """Dates of ``YYYY-MM-DD`` texts; null where the text is null or no date."""
    shaped = texts.str.contains(r"^\d{4}-\d{2}-\d{2}$")
    parsed = texts.str.strptime(pl.Date, "%Y-%m-%d", strict=False)
    nothing = pl.Series([None], dtype=pl.Date).new_from_index(0, len(texts))
    return parsed.zip_with((shaped & (parsed >= date(1, 1, 1))).fill_null(False), nothing)


def instant_text(instant: pl.Expr) -> pl.Expr:
    """RFC 3339 in UTC with microseconds and ``Z``."""
    return instant.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
