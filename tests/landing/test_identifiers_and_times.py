"""Identifiers and times: every rule of docs/times.md, through NDJSON, CSV and Parquet alike.

What a text means is written out here or asked of the standard library, never of the code under test.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from pipelines.landing import store
from pipelines.landing.originals import original
from schemas.entities import ENTITIES
from tests.landing.support import event, land, ndjson, reasons, tenant

FORMATS = ("rows.ndjson", "rows.csv", "rows.parquet")
WRONG = "invalid_timestamp:updated_at"
NEW_YORK = "America/New_York"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


#: Text, the instant or the reason, and what else the record says.
TIMES: list[tuple[str, datetime | str, dict[str, str]]] = [
    # RFC 3339, in every form it allows.
    ("2026-01-02T03:04:05Z", utc(2026, 1, 2, 3, 4, 5), {}),
    ("2026-01-02t03:04:05z", utc(2026, 1, 2, 3, 4, 5), {}),
    ("2026-01-02 03:04:05Z", utc(2026, 1, 2, 3, 4, 5), {}),
    ("2026-01-02T03:04:05+01:30", utc(2026, 1, 2, 1, 34, 5), {}),
    ("2026-01-02T03:04:05-23:59", utc(2026, 1, 3, 3, 3, 5), {}),
    ("2026-01-02T03:04:05-00:00", utc(2026, 1, 2, 3, 4, 5), {}),
    ("2026-01-02T03:04:05.5Z", utc(2026, 1, 2, 3, 4, 5, 500_000), {}),
    ("2026-01-02T03:04:05.1234569Z", utc(2026, 1, 2, 3, 4, 5, 123_456), {}),
    ("2026-01-02T03:04:05." + "9" * 40 + "+00:00", utc(2026, 1, 2, 3, 4, 5, 999_999), {}),
    ("1969-12-31T23:59:59.9999999Z", utc(1969, 12, 31, 23, 59, 59, 999_999), {}),
    # What databases and ISO 8601 write beside it.
    ("2026-01-02 03:04:05.123+00", utc(2026, 1, 2, 3, 4, 5, 123_000), {}),
    ("2026-01-02T03:04:05+0130", utc(2026, 1, 2, 1, 34, 5), {}),
    ("2026-01-02T03:04:05,25Z", utc(2026, 1, 2, 3, 4, 5, 250_000), {}),
    ("2026-01-02T03:04Z", utc(2026, 1, 2, 3, 4), {}),
    # Not times.
    ("2026-01-02", WRONG, {}),
    ("2026-02-29T00:00:00Z", WRONG, {}),
    ("2026-01-02T24:00:00Z", WRONG, {}),
    ("2026-01-02T03:04:61Z", WRONG, {}),
    ("2026-01-02T03:04:05+24:00", WRONG, {}),
    ("2026-01-02T03:04:05+01:60", WRONG, {}),
    ("2026-01-02T 3:04:05Z", WRONG, {}),
    ("02/01/2026 03:04", WRONG, {}),
    ("2026-01-02T03:04:05 Europe/London", WRONG, {}),
    ("now", WRONG, {}),
    # Leap seconds are the last microsecond of their minute, where UTC has them.
    ("2016-12-31T23:59:60Z", utc(2016, 12, 31, 23, 59, 59, 999_999), {}),
    ("2016-12-31T23:59:60.25Z", utc(2016, 12, 31, 23, 59, 59, 999_999), {}),
    ("2016-12-31T15:59:60-08:00", utc(2016, 12, 31, 23, 59, 59, 999_999), {}),
    ("2017-01-01T05:29:60", utc(2016, 12, 31, 23, 59, 59, 999_999), {"timezone": "Asia/Kolkata"}),
    ("2016-12-30T23:59:60Z", WRONG, {}),
    ("2016-12-31T12:00:60Z", WRONG, {}),
    # The ends of time.
    ("0001-01-01T00:00:00Z", utc(1, 1, 1), {}),
    ("9999-12-31T23:59:59.999999Z", utc(9999, 12, 31, 23, 59, 59, 999_999), {}),
    ("0000-12-31T23:00:00-01:00", WRONG, {}),
    ("0001-01-01T00:00:00+01:00", WRONG, {}),
    ("9999-12-31T23:59:59-01:00", WRONG, {}),
    ("9999-12-31T23:59:60Z", WRONG, {}),
    ("10000-01-01T00:00:00Z", WRONG, {}),
    # Numbers: the declared unit, or else nine or ten digits of seconds and thirteen of milliseconds.
    ("1767225600", utc(2026, 1, 1), {}),
    ("1767225600.25", utc(2026, 1, 1, 0, 0, 0, 250_000), {}),
    ("100000000", utc(1973, 3, 3, 9, 46, 40), {}),
    ("9999999999", utc(2286, 11, 20, 17, 46, 39), {}),
    ("1767225600123", utc(2026, 1, 1, 0, 0, 0, 123_000), {}),
    ("1000000000000", utc(2001, 9, 9, 1, 46, 40), {}),
    ("20260102", WRONG, {}),
    ("20260102030405", WRONG, {}),
    ("1767225600123456", WRONG, {}),
    ("0", WRONG, {}),
    ("-1", WRONG, {}),
    ("0", utc(1970, 1, 1), {"epoch_unit": "s"}),
    ("-1", utc(1969, 12, 31, 23, 59, 59), {"epoch_unit": "s"}),
    ("-1.5", utc(1969, 12, 31, 23, 59, 58, 500_000), {"epoch_unit": "s"}),
    ("100000", utc(1970, 1, 1, 0, 1, 40), {"epoch_unit": "ms"}),
    ("1767225600.75", utc(1970, 1, 21, 10, 53, 45, 600_750), {"epoch_unit": "ms"}),
    ("-62135596800", utc(1, 1, 1), {"epoch_unit": "s"}),
    ("253402300799999", utc(9999, 12, 31, 23, 59, 59, 999_000), {"epoch_unit": "ms"}),
    ("253402300800", WRONG, {"epoch_unit": "s"}),
    ("2026-01-02T03:04:05Z", utc(2026, 1, 2, 3, 4, 5), {"epoch_unit": "ms"}),
    ("1767225600", "not_in_enum:epoch_unit", {"epoch_unit": "us"}),
    ("1e9", WRONG, {}),
    ("+1767225600", WRONG, {}),
    # Local times: the record's zone, else the tenant's (London).
    ("2026-07-01T12:00:00", utc(2026, 7, 1, 11), {}),
    ("2026-07-01 12:00:00.5", utc(2026, 7, 1, 11, 0, 0, 500_000), {}),
    ("2026-07-01T12:00:00", utc(2026, 7, 1, 16), {"timezone": NEW_YORK}),
    ("2026-07-01T12:00:00Z", utc(2026, 7, 1, 12), {"timezone": NEW_YORK}),
    ("2026-07-01T12:00:00", "invalid_timezone:timezone", {"timezone": "Nowhere"}),
    ("2026-07-01T12:00:00", "invalid_timezone:timezone", {"timezone": "localtime"}),
    # Skipped by the change to summer time: forward by the length of the gap.
    ("2026-03-29T01:30:00", utc(2026, 3, 29, 1, 30), {}),
    ("2026-03-29T00:59:59", utc(2026, 3, 29, 0, 59, 59), {}),
    ("2026-03-29T02:00:00", utc(2026, 3, 29, 1), {}),
    ("2025-10-05T02:15:00", utc(2025, 10, 4, 15, 45), {"timezone": "Australia/Lord_Howe"}),
    # Happens twice in autumn: the first; an offset says the second.
    ("2026-10-25T01:30:00", utc(2026, 10, 25, 0, 30), {}),
    ("2026-10-25T01:30:00+00:00", utc(2026, 10, 25, 1, 30), {}),
    ("2026-11-01T01:30:00", utc(2026, 11, 1, 5, 30), {"timezone": NEW_YORK}),
    # A day that a zone left out.
    ("2011-12-30T12:00:00", utc(2011, 12, 30, 22), {"timezone": "Pacific/Apia"}),
]
IDS = [f"{n:02d} {text} {' '.join(more.values())}".strip()[:60] for n, (text, _, more) in enumerate(TIMES)]


def written(records: list[dict[str, Any]], name: str) -> bytes:
    """Records of texts in one of the formats."""
    if name.endswith("ndjson"):
        return ndjson([{key: value for key, value in record.items() if value is not None} for record in records])
    names = list(dict.fromkeys(key for record in records for key in record))
    if name.endswith("csv"):
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        return buffer.getvalue().encode()
    body = io.BytesIO()
    pl.DataFrame(records, schema=dict.fromkeys(names, pl.String)).write_parquet(body)
    return body.getvalue()


@cache
def landed(name: str) -> tuple[dict[str, datetime], dict[int, str], pl.DataFrame]:
    """Instants by id, reasons by record number, and the stored rows of the table above in one format."""
    records = [
        {"external_id": str(n), "updated_at": text, "timezone": None, "epoch_unit": None, **more}
        for n, (text, _, more) in enumerate(TIMES)
    ]
    with TemporaryDirectory() as folder:
        where = tenant(Path(folder))
        receipt = land(where, "customers", written(records, name), name)
        assert receipt.received == len(TIMES)
        stored = store.scan(where, "customers").sort("line_no").collect()
        found = reasons(where, "customers")
    return dict(stored.select("external_id", "order_at").iter_rows()), found, stored


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("number", range(len(TIMES)), ids=IDS)
def test_times(number: int, name: str) -> None:
    instants, refused, _ = landed(name)
    line = number + 2 if name.endswith("csv") else number + 1
    assert instants.get(str(number), refused.get(line)) == TIMES[number][1]


def test_every_format_stores_equal_records_and_the_text_as_it_was_sent() -> None:
    first, *others = (landed(name)[2].drop("line_no") for name in FORMATS)
    assert all(other.equals(first) for other in others)
    sent = {str(n): text for n, (text, _, _) in enumerate(TIMES)}
    column = next(c for c in ENTITIES["customers"].columns if c.name == "updated_at")
    assert all(sent[key] == text for key, text in first.select("external_id", original(column)).iter_rows())
    assert first["updated_at__text"].null_count() < first.height


def test_numbers_of_json_and_parquet_are_the_instants_of_their_texts(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    seconds, milliseconds = 1_767_225_600, 1_767_225_600_123
    land(where, "customers", [{"external_id": "json", "updated_at": milliseconds}])
    land(where, "customers", [{"external_id": "decimals", "updated_at": 1767225600.25}])
    for key, value, dtype in (
        ("int32", seconds, pl.Int32),
        ("int64", milliseconds, pl.Int64),
        ("double", float(milliseconds), pl.Float64),
        ("part", seconds + 0.25, pl.Float64),
    ):
        frame = pl.DataFrame({"external_id": [key], "updated_at": pl.Series([value], dtype=dtype)})
        body = io.BytesIO()
        frame.write_parquet(body)
        land(where, "customers", body.getvalue(), "rows.parquet")
    found = dict(store.scan(where, "customers").select("external_id", "order_at").collect().iter_rows())
    exact, parts = utc(2026, 1, 1, 0, 0, 0, 123_000), utc(2026, 1, 1, 0, 0, 0, 250_000)
    whole = utc(2026, 1, 1)
    assert found == {"json": exact, "decimals": parts, "int32": whole, "int64": exact, "double": exact, "part": parts}


#: Counts of a Parquet timestamp: unit, whether it is in UTC, count, instant or reason.
PARQUET: list[tuple[str, bool, int, datetime | str]] = [
    ("us", True, 1_767_225_600_123_456, utc(2026, 1, 1, 0, 0, 0, 123_456)),
    ("ms", True, 1_767_225_600_123, utc(2026, 1, 1, 0, 0, 0, 123_000)),
    ("ns", True, 1_767_225_600_123_456_789, utc(2026, 1, 1, 0, 0, 0, 123_456)),
    ("ns", True, -1, utc(1969, 12, 31, 23, 59, 59, 999_999)),
    ("us", True, -62_135_596_800_000_000, utc(1, 1, 1)),
    ("us", True, 253_402_300_800_000_000, WRONG),
    ("ms", True, 253_402_300_799_999, utc(9999, 12, 31, 23, 59, 59, 999_000)),
    ("ms", True, 10**16, WRONG),
    # Without a zone it is a local time: an hour ahead of UTC in a London summer.
    ("us", False, 1_782_900_000_000_000, utc(2026, 7, 1, 9)),
]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_typed_timestamps_of_parquet(unit: str, tmp_path: Path) -> None:
    for zoned in (True, False):
        cases = [(count, expected) for kind, utc_, count, expected in PARQUET if (kind, utc_) == (unit, zoned)]
        if not cases:
            continue
        where = tenant(tmp_path / str(zoned))
        counts = pl.Series([count for count, _ in cases], dtype=pl.Int64).cast(pl.Datetime(unit))  # type: ignore[arg-type]
        frame = pl.DataFrame(
            {
                "external_id": [str(n) for n in range(len(cases))],
                "updated_at": counts.dt.replace_time_zone("UTC") if zoned else counts,
            }
        )
        body = io.BytesIO()
        frame.write_parquet(body)
        land(where, "customers", body.getvalue(), "rows.parquet")
        found = dict(store.scan(where, "customers").select("external_id", "order_at").collect().iter_rows())
        refused = reasons(where, "customers")
        assert [found.get(str(n), refused.get(n + 1)) for n in range(len(cases))] == [expected for _, expected in cases]


def test_a_parquet_date_is_no_instant(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    body = io.BytesIO()
    pl.DataFrame({"external_id": ["d"], "updated_at": [date(2026, 1, 2)]}).write_parquet(body)
    land(where, "customers", body.getvalue(), "rows.parquet")
    assert reasons(where, "customers") == {1: WRONG}


@pytest.mark.parametrize("zone", ["Europe/London", NEW_YORK, "Asia/Tokyo"])
def test_rows_of_impossible_days_are_refused_and_the_far_ends_stay(zone: str, tmp_path: Path) -> None:
    where = tenant(tmp_path, zone)
    texts = ["0001-01-01T00:00:00Z", "1999-12-30T00:00:00Z", "2100-01-02T00:00:00Z", "9999-12-31T23:59:59Z"]
    rows = [event(external_id=str(n), occurred_at=text) for n, text in enumerate(texts)]
    land(where, "customer_events", [*rows, event(external_id="e", occurred_at="2099-12-30T12:00:00Z")])
    assert reasons(where, "customer_events") == dict.fromkeys((1, 2, 3, 4), "out_of_range:occurred_at")
    assert store.dates(where, "customer_events") == [date(2099, 12, 30)]


#: Around each clock change of a year, a quarter of an hour apart.
@pytest.mark.parametrize("zone", ["Europe/London", NEW_YORK, "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"])
def test_the_tenant_day_of_a_row_is_the_calendar_day_of_its_zone(zone: str, tmp_path: Path) -> None:
    info, where = ZoneInfo(zone), tenant(tmp_path, zone)
    hours = [utc(2025, 1, 1) + timedelta(hours=n) for n in range(24 * 366)]
    changes = [at for at, later in itertools.pairwise(hours) if info.utcoffset(at) != info.utcoffset(later)]
    assert len(changes) == 2
    instants = [change + timedelta(minutes=15 * n) for change in changes for n in range(-110, 110)]
    land(
        where,
        "customer_events",
        [event(external_id=str(n), occurred_at=at.isoformat()) for n, at in enumerate(instants)],
    )
    stored = store.scan(where, "customer_events").select("external_id", "date").collect()
    assert dict(stored.iter_rows()) == {str(n): at.astimezone(info).date() for n, at in enumerate(instants)}


def test_times_inside_nested_values_follow_the_record(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    product = {"updated_at": "2026-07-01T12:00:00", "name": "Pot", "category_path": "home", "status": "active"}
    product |= {"price_minor": 900, "currency": "GBP"}
    entry = {"outlet_id": "o", "on_hand": 1, "reserved": 0, "available": 1}
    local = [{**entry, "measured_at": "2026-07-01T12:00:00"}]
    land(
        where,
        "products",
        [
            {**product, "external_id": "own", "timezone": NEW_YORK, "available_quantity": local},
            {**product, "external_id": "tenant", "available_quantity": local},
            {**product, "external_id": "ms", "epoch_unit": "ms", "available_quantity": [{**entry, "measured_at": 0}]},
            {**product, "external_id": "bad", "available_quantity": [{**entry, "measured_at": 0}]},
        ],
    )
    stored = store.scan(where, "products").select("external_id", "available_quantity").collect()
    assert {key: json.loads(text)[0]["measured_at"] for key, text in stored.iter_rows()} == {
        "own": "2026-07-01T16:00:00.000000Z",
        "tenant": "2026-07-01T11:00:00.000000Z",
        "ms": "1970-01-01T00:00:00.000000Z",
    }
    assert reasons(where, "products") == {4: "invalid_timestamp:available_quantity.measured_at"}


#: An id as NDJSON text, as a Parquet or CSV value, and what is kept.
IDENTIFIERS: list[tuple[str, Any, str]] = [
    ('"00123"', "00123", "00123"),
    ("123", 123, "123"),
    ("123.0", 123.0, "123.0"),
    ("9007199254740993", 9_007_199_254_740_993, "9007199254740993"),
    ('"1.50"', "1.50", "1.50"),
    ('" a "', " a ", " a "),
    ('"A"', "A", "A"),
    ('"caf\\u00e9"', "caf\u00e9", "caf\u00e9"),
    ('"cafe\\u0301"', "cafe\u0301", "cafe\u0301"),
    ('"\\ud83d\\udc1f"', "\U0001f41f", "\U0001f41f"),
    (json.dumps("x" * 128), "x" * 128, "x" * 128),
    ('"null"', "null", "null"),
    ('"=1+1"', "=1+1", "=1+1"),
]


def test_identifiers_are_text(tmp_path: Path) -> None:
    where, at = tenant(tmp_path), "2026-01-02T00:00:00Z"
    lines = "".join(f'{{"external_id":{text},"updated_at":"{at}"}}\n' for text, _, _ in IDENTIFIERS)
    kept = [expected for _, _, expected in IDENTIFIERS]
    bodies = {"rows.ndjson": lines.encode()}
    for name in FORMATS[1:]:
        bodies[name] = written([{"external_id": str(value), "updated_at": at} for _, value, _ in IDENTIFIERS], name)
    for name, body in bodies.items():
        receipt = land(where, "customers", body, name)
        assert (receipt.accepted, receipt.duplicate) == ((len(kept), 0) if name == "rows.ndjson" else (0, len(kept)))
    stored = store.scan(where, "customers").sort("line_no").select("external_id").collect()
    assert stored["external_id"].to_list() == kept


@pytest.mark.parametrize(
    ("values", "dtype", "kept"),
    [
        ([123], pl.Int64, "123"),
        ([18_446_744_073_709_551_615], pl.UInt64, "18446744073709551615"),
        ([123.0], pl.Float64, "123"),
    ],
)
def test_numbers_in_parquet_are_identifiers_without_decimals(
    values: list[Any], dtype: Any, kept: str, tmp_path: Path
) -> None:
    where = tenant(tmp_path)
    body = io.BytesIO()
    frame = pl.DataFrame({"external_id": pl.Series(values, dtype=dtype), "updated_at": ["2026-01-02T00:00:00Z"]})
    frame.write_parquet(body)
    land(where, "customers", body.getvalue(), "rows.parquet")
    assert store.scan(where, "customers").select("external_id").collect().item() == kept


WRONG_IDENTIFIERS = [
    ('""', "missing_required:external_id"),
    ("null", "missing_required:external_id"),
    (json.dumps("x" * 129), "invalid_id:external_id"),
    ('"a\\u0000b"', "invalid_id:external_id"),
    ('"a\\nb"', "invalid_id:external_id"),
    ('"a\\u0085b"', "invalid_id:external_id"),
    ('{"id":"a"}', "invalid_id:external_id"),
    ('["a"]', "invalid_id:external_id"),
    ("00123", "malformed_json"),
]


def test_what_is_no_identifier(tmp_path: Path) -> None:
    where, at = tenant(tmp_path), "2026-01-02T00:00:00Z"
    lines = "".join(f'{{"external_id":{text},"updated_at":"{at}"}}\n' for text, _ in WRONG_IDENTIFIERS)
    land(where, "customers", lines.encode())
    assert reasons(where, "customers") == {n: reason for n, (_, reason) in enumerate(WRONG_IDENTIFIERS, 1)}
