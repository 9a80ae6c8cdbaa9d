"""Valid time: which version held when, joins as of an instant, and whom a visitor is linked to."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipelines.entities.fold import latest
from pipelines.entities.history import as_of, history, join_as_of
from tests.entities.landing_files import at, record, versions
from tests.entities.test_fold import OUTLETS, outlet_version

START = at("2026-01-01")
INSTANTS = [START + timedelta(hours=12 * n) for n in range(-1, 8)]


@given(st.lists(outlet_version(), max_size=10))
def test_as_of_is_the_fold_of_the_versions_until_then(records: list[dict[str, Any]]) -> None:
    frame = versions(OUTLETS, records)
    past = history(frame, OUTLETS)
    assert past.columns == OUTLETS.history_contract.names
    firsts = frame.group_by("external_id").agg(pl.col("order_at").min().alias("first"))
    for instant in INSTANTS:
        known = frame.join(firsts, on="external_id").filter(
            (pl.col("order_at") <= instant) | (pl.col("order_at") == pl.col("first"))
        )
        expected = latest(known.drop("first"), OUTLETS).sort("external_id")
        assert_frame_equal(as_of(past, instant).select(expected.columns).sort("external_id"), expected)


@given(st.lists(outlet_version(), min_size=1, max_size=8), st.lists(st.sampled_from(INSTANTS), min_size=1, max_size=6))
def test_a_join_as_of_gives_what_held_at_each_instant(records: list[dict[str, Any]], instants: list[datetime]) -> None:
    past = history(versions(OUTLETS, records), OUTLETS)
    asked = [(key, instant) for instant in instants for key in ("o1", "o2", None)]
    frame = pl.DataFrame(asked, schema={"outlet_id": pl.String, "at": pl.Datetime("us", "UTC")}, orient="row")
    joined = join_as_of(frame, past, key="outlet_id", instant="at", columns=["name", "currency"], prefix="its_")
    assert joined.columns == ["outlet_id", "at", "its_name", "its_currency"]
    for row in joined.to_dicts():
        held = as_of(past, row["at"]).filter(pl.col("external_id").eq_missing(row["outlet_id"]))
        expected = held.select("name", "currency").rows() or [(None, None)]
        assert [(row["its_name"], row["its_currency"])] == expected
    assert_frame_equal(joined.select("outlet_id", "at"), frame)


def test_periods_meet_and_the_newest_is_open() -> None:
    records = [record(external_id="o1", name=name, updated_at=at(f"2026-01-0{n}")) for n, name in ((3, "c"), (1, "a"))]
    past = history(versions(OUTLETS, records), OUTLETS)
    spans = past.select("name", "effective_from", "effective_to").rows()
    assert spans == [("a", at("2026-01-01"), at("2026-01-03")), ("c", at("2026-01-03"), None)]
    assert past["version_hash"].str.len_chars().to_list() == [64, 64]


def test_of_two_versions_of_one_instant_one_never_holds() -> None:
    records = [record(external_id="o1", name=name, updated_at=START) for name in ("a", "b")]
    past = history(versions(OUTLETS, records), OUTLETS)
    assert past.height == 2
    assert as_of(past, START).height == 1
    assert as_of(past, START)["name"].to_list() == latest(versions(OUTLETS, records), OUTLETS)["name"].to_list()
