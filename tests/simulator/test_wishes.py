"""Wishes and alerts follow from views and from what was in stock."""

from __future__ import annotations

import polars as pl

from pipelines.simulator import Simulation

WISHED, UNWISHED, ASKED = "Product Added to Wishlist", "Product Removed from Wishlist", "Stock Alert Requested"


def of(simulation: Simulation, *names: str) -> pl.DataFrame:
    return simulation.entities["customer_events"].filter(pl.col("event_name").is_in(names))


def test_wishes_are_few_and_some_are_taken_back(simulation: Simulation) -> None:
    views, wished, taken = (of(simulation, name) for name in ("Product Viewed", WISHED, UNWISHED))
    assert 0.01 < wished.height / views.height < 0.02
    assert 0.1 < taken.height / wished.height < 0.35
    assert taken["session_id"].null_count() > 0 and taken["session_id"].drop_nulls().len() > 0


def test_only_what_was_looked_at_is_wished_for_and_only_what_was_wished_is_taken_off(simulation: Simulation) -> None:
    for later, earlier in ((WISHED, "Product Viewed"), (ASKED, "Product Viewed"), (UNWISHED, WISHED)):
        rows = of(simulation, later)
        first = of(simulation, earlier).group_by("flockr_vid", "product_id").agg(pl.col("occurred_at").min())
        joined = rows.join(first, on=["flockr_vid", "product_id"], suffix="_first")
        assert joined.height == rows.height > 0, later
        assert (joined["occurred_at"] > joined["occurred_at_first"]).all(), later


def test_alerts_are_asked_for_what_was_gone(simulation: Simulation) -> None:
    online = simulation.entities["stock_levels"].filter(pl.col("outlet_id") == "outlet-online")
    gone = online.filter(pl.col("available") <= 0)["product_id"].unique()
    assert set(of(simulation, ASKED)["product_id"]) <= set(gone)
    assert of(simulation, ASKED).height > 5


def test_the_referral_programme_has_accepted_and_flagged_referrals(simulation: Simulation) -> None:
    counts = dict(simulation.entities["referral_events"]["name"].value_counts().iter_rows())
    assert counts["referral.accepted"] > 0 and counts["referral.flagged"] > 0
