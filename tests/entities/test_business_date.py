"""The trading date of a transaction: what it says, else the calendar day where it happened, by the standard library."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import flow
from pipelines.entities.business_date import with_business_date
from schemas.entities import ENTITIES
from tests.landing.support import land

LONDON = ZoneInfo("Europe/London")
ZONES = ["Pacific/Auckland", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "UTC"]
INSTANTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 30), timezones=st.just(UTC))
HISTORY = ENTITIES["outlets"].history_contract


def versions(zones: list[tuple[str, str, datetime, datetime | None]]) -> pl.DataFrame:
    """An outlets history of (id, zone, from, to)."""
    rows = [
        {
            "external_id": key,
            "timezone": zone,
            "effective_from": start,
            "effective_to": end,
            "is_deleted": False,
            "version_hash": str(number),
        }
        for number, (key, zone, start, end) in enumerate(zones)
    ]
    return pl.DataFrame(rows, schema=HISTORY.schema)


@given(st.lists(st.tuples(INSTANTS, st.sampled_from([*ZONES, "nobody knows"])), min_size=1, max_size=30))
def test_the_calendar_day_of_the_outlet(sales):
    outlets = versions([(zone, zone, datetime(2020, 1, 1, tzinfo=UTC), None) for zone in ZONES])
    frame = pl.DataFrame(
        {
            "occurred_at": pl.Series([at for at, _ in sales], dtype=pl.Datetime("us", "UTC")),
            "outlet_id": [outlet for _, outlet in sales],
            "business_date": pl.Series([None] * len(sales), dtype=pl.Date),
        }
    )
    found = with_business_date(frame, outlets, LONDON)["business_date"].to_list()
    assert found == [at.astimezone(ZoneInfo(zone) if zone in ZONES else LONDON).date() for at, zone in sales]


def test_an_outlet_that_moved_has_the_zone_of_the_instant():
    moved, late = datetime(2026, 1, 2, tzinfo=UTC), timedelta(hours=23, minutes=30)
    outlets = versions(
        [("o", "Pacific/Auckland", datetime(2025, 1, 1, tzinfo=UTC), moved), ("o", "America/New_York", moved, None)]
    )
    instants = [
        datetime(2026, 1, 1, tzinfo=UTC) + late,
        datetime(2026, 1, 3, tzinfo=UTC),
        datetime(2020, 1, 1, 12, tzinfo=UTC),
    ]
    frame = pl.DataFrame(
        {
            "occurred_at": pl.Series(instants, dtype=pl.Datetime("us", "UTC")),
            "outlet_id": ["o"] * 3,
            "business_date": pl.Series([None, None, date(2019, 12, 24)], dtype=pl.Date),
        }
    )
    found = with_business_date(frame, outlets, LONDON)["business_date"].to_list()
    assert found == [date(2026, 1, 2), date(2026, 1, 2), date(2019, 12, 24)]


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/New_York"])
def test_an_outlet_that_arrives_late_decides(tenant, zone):
    at = "2026-03-29T23:30:00Z"
    line = {
        "line_no": 1,
        "product_id": "p",
        "quantity": 1,
        "unit_price_minor": 9,
        "line_gross_minor": 9,
        "line_net_minor": 9,
    }
    sale = {
        "external_id": "t",
        "type": "sale",
        "status": "completed",
        "channel": "store",
        "currency": "GBP",
        "lines": [line],
    }
    land(
        tenant,
        "transactions",
        [{**sale, "occurred_at": at, "updated_at": at, "outlet_id": "o", "gross_minor": 9, "net_minor": 9}],
    )
    flow.run(tenant, select=["entities"])
    assert tenant.lake.read("transactions")["business_date"].to_list() == [date(2026, 3, 30)]
    outlet = {
        "external_id": "o",
        "updated_at": "2026-04-05T00:00:00Z",
        "name": "Mill Lane",
        "kind": "store",
        "status": "open",
    }
    land(tenant, "outlets", [{**outlet, "timezone": zone, "country": "NZ"}])
    flow.run(tenant, select=["entities"])
    day = datetime.fromisoformat(at).astimezone(ZoneInfo(zone)).date()
    assert tenant.lake.read("transactions")["business_date"].to_list() == [day]
