"""Whom the campaign files name: a merged person once, and the customers behind the contacts of opt-outs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.calendar import day_of
from pipelines.config import Tenant
from pipelines.entities.steps import publish_dimensions
from pipelines.exports.campaigns.inputs import CampaignInputs, read_inputs
from pipelines.exports.campaigns.opt_outs import opt_outs
from pipelines.exports.campaigns.people import contact_versions
from pipelines.exports.campaigns.state import campaign_state
from tests.exports import retailer as r
from tests.exports.test_campaigns import cells, write
from tests.landing.support import customer, land


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Tenant:
    shop = r.tenant(tmp_path_factory.mktemp("home"))
    r.fill(shop)
    return shop


@pytest.fixture(scope="module")
def inputs(shop: Tenant) -> CampaignInputs:
    return read_inputs(shop.lake, shop.zone.key, [day_of(day, shop.zone) for day in r.DAYS])


def merge(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """(id, customer that it stands for, since which day)."""
    named = [{"external_id": a, "customer_id": b, "effective_from": r.at(day)} for a, b, day in rows]
    return r.table("customer_merges", *named)


def test_a_merged_customer_is_named_by_whom_it_stands_for_at_the_end_of_the_day(
    shop: Tenant, inputs: CampaignInputs, tmp_path: Path
) -> None:
    """u1, whose clicks and orders were of before, is u7 on the tenth, and itself again on the eleventh."""
    merged = replace(inputs, merges=merge(("u1", "u7", 10), ("u1", "u1", 11)))
    before, on_it = (write(shop, merged, day, tmp_path)[1] for day in r.DAYS)
    assert {row["customer_id"] for row in before["campaign_customers"]} == {"u1", "u2"}
    assert [cells(row, "campaign_id", "customer_id", "status") for row in on_it["campaign_customers"]] == [
        ("c1", "u2", "selected"),
        ("c1", "u7", "converted"),
        ("c2", "u2", "failed"),
    ]
    assert cells(on_it["campaign_customers"][1], "click_count", "conversion_count") == ("2", "1")
    assert [row["customer_id"] for row in on_it["opt_outs"]] == ["u7", "u7", ""]
    plain = write(shop, inputs, r.DAY, tmp_path)[1]
    for file in ("campaigns", "link_statistics", "campaign_skus"):
        assert on_it[file] == plain[file]
    state = campaign_state(merged, day_of(date(2026, 3, 11), shop.zone))
    assert set(state.selections["customer_id"]) == {"u1", "u2"}


def test_two_selected_customers_who_turn_out_to_be_one_have_one_row(
    shop: Tenant, inputs: CampaignInputs, tmp_path: Path
) -> None:
    merged = replace(inputs, merges=merge(("u2", "u1", 10)))
    files = write(shop, merged, r.DAY, tmp_path)[1]
    assert [cells(row, "campaign_id", "customer_id", "status") for row in files["campaign_customers"]] == [
        ("c1", "u1", "converted"),
        ("c2", "u1", "converted"),
    ]


def contact(customer: str, day: int, until: int | None = None, **hashes: str) -> dict[str, Any]:
    end = None if until is None else r.at(until)
    return {**r.version("u", customer, r.at(day), **hashes), "effective_to": end, "version_hash": f"{customer}{day}"}


@pytest.mark.parametrize("column", ["contact_hash", "phone_hash"])
@pytest.mark.parametrize(
    ("versions", "named"),
    [
        ([("u1", 1, None, True)], "u1"),
        ([("u1", 11, None, True)], "u1"),
        ([("u1", 1, 5, False), ("u1", 5, None, True), ("u2", 1, None, False)], "u1"),
        ([("u1", 1, 5, True), ("u1", 5, None, False)], ""),
        ([("u1", 1, 5, True), ("u1", 5, None, False), ("u2", 1, 5, False), ("u2", 5, None, True)], "u2"),
        ([("u2", 1, None, True), ("u1", 10, 11, False), ("u1", 11, None, True)], "u2"),
        ([("u1", 1, 10, False), ("u1", 10, None, True)], "u1"),
        ([("u1", 1, None, True), ("u2", 1, None, True)], ""),
        ([("u1", 1, None, True), ("u7", 1, None, True)], "u1"),
    ],
)
def test_an_opt_out_of_a_contact_is_of_the_customer_who_had_it(
    inputs: CampaignInputs, shop: Tenant, tmp_path: Path, column: str, versions: Any, named: str
) -> None:
    """Whoever had it then, else whoever had it first afterwards; nobody when several had it, unless they are one."""
    rows = [contact(who, since, until, **({column: "h" * 8} if has else {})) for who, since, until, has in versions]
    history = r.table("customers_history", *rows)
    contacts = contact_versions(history.lazy(), inputs.histories["opt_outs"])
    known = replace(inputs, contacts=contacts, merges=merge(("u7", "u1", 9)))
    day = day_of(r.DAY if versions[0][1] < 11 else date(2026, 3, 11), shop.zone)
    found = {row["external_id"]: row["customer_id"] for row in campaign_state(known, day).opt_outs.to_dicts()}
    assert (found["o3"] or "") == named


def test_an_opt_out_of_a_shared_contact_is_of_all_who_share_it(
    shop: Tenant, inputs: CampaignInputs, tmp_path: Path
) -> None:
    shared = inputs.histories["opt_outs"].with_columns(
        pl.when(pl.col("external_id") == "o3").then(pl.lit("c1")).otherwise("campaign_id").alias("campaign_id")
    )
    history = r.table("customers_history", *(contact(who, 1, phone_hash="h" * 8) for who in ("u1", "u2")))
    histories = {**inputs.histories, "opt_outs": shared}
    files = write(
        shop, replace(inputs, histories=histories, contacts=contact_versions(history.lazy(), shared)), r.DAY, tmp_path
    )[1]
    opted = {
        row["customer_id"]: row["opted_out_at"] for row in files["campaign_customers"] if row["campaign_id"] == "c1"
    }
    assert opted == {"u1": "2026-03-09T12:00:00Z", "u2": "2026-03-10T12:00:00Z"}
    assert cells(files["opt_outs"][2], "customer_id", "contact_hash") == ("", "hhhhhhhh")


@pytest.mark.parametrize("sent", ["ann@example.com", "07700 900123"])
def test_an_opt_out_that_landed_with_a_contact_names_its_customer(tmp_path: Path, sent: str) -> None:
    shop = r.tenant(tmp_path)
    people = [customer(external_id="u1", email="Ann@example.com", phone="+447700900123"), customer(external_id="u2")]
    land(shop, "customers", [*people, customer(external_id="u0", updated_at="2026-02-01T00:00:00Z", merged_into="u1")])
    opt_out = {"channel": "all", "scope": "all", "action": "opt_out", "reason": "stop_keyword"}
    land(shop, "opt_outs", [{"external_id": "o1", "contact": sent, "occurred_at": "2026-03-01T00:00:00Z", **opt_out}])
    land(
        shop, "opt_outs", [{"external_id": "o2", "customer_id": "u0", "occurred_at": "2026-03-02T00:00:00Z", **opt_out}]
    )
    publish_dimensions(shop, ["customers", "opt_outs"])
    day = day_of(r.DAY, shop.zone)
    found = opt_outs(known := read_inputs(shop.lake, shop.zone.key, [day]), campaign_state(known, day))
    assert found.select("opt_out_id", "customer_id", "contact_hash", "is_current").rows() == [
        ("o1", "u1", None, False),
        ("o2", "u1", None, True),
    ]
