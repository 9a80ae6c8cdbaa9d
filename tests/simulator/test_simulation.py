"""The simulated world hangs together: references, money, truth, clocks, and the same seed gives the same rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from pipelines.errors import UsageError
from pipelines.simulator import Simulation, SimulationConfig, simulate
from pipelines.simulator.settings import HOUR, SECOND, half_even, wall_to_utc
from schemas.entities import ENTITIES
from tests.simulator.conftest import CONFIG

LINE = pl.List(
    pl.Struct(
        {
            "product_id": pl.String,
            "quantity": pl.String,
            "unit_price_minor": pl.Int64,
            "line_gross_minor": pl.Int64,
            "line_net_minor": pl.Int64,
            "line_discount_minor": pl.Int64,
        }
    )
)


def latest_sales(simulation: Simulation) -> pl.DataFrame:
    frame = simulation.entities["transactions"].filter(pl.col("op").is_null())
    return frame.unique("external_id", keep="first", maintain_order=True)


def line_rows(simulation: Simulation) -> pl.DataFrame:
    parsed = latest_sales(simulation).with_columns(pl.col("lines").str.json_decode(LINE))
    return parsed.explode("lines").unnest("lines").with_columns(pl.col("quantity").cast(pl.Decimal(12, 3)))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(simulation: Simulation) -> None:
    again, other = simulate(CONFIG), simulate(replace(CONFIG, seed=12))
    for name, frame in simulation.entities.items():
        assert frame.equals(again.entities[name]), name
    for name, frame in simulation.truth.items():
        assert frame.equals(again.truth[name]), name
    assert not simulation.entities["customer_events"].equals(other.entities["customer_events"])


def test_every_reference_of_a_column_resolves(simulation: Simulation) -> None:
    known = {name: frame for name, frame in simulation.entities.items() if "external_id" in frame.columns}
    checked = 0
    for name, frame in simulation.entities.items():
        for column, target, key in ENTITIES[name].references:
            if key is not None or column not in frame.columns:
                continue
            values = frame[column].drop_nulls()
            if values.str.starts_with("[").any():
                values = values.str.json_decode(pl.List(pl.String)).explode().drop_nulls()
            assert set(values) <= set(known[target]["external_id"]), (name, column)
            checked += len(values)
    assert checked > 10_000


def test_every_product_in_a_cart_or_a_line_is_in_the_catalogue(simulation: Simulation) -> None:
    skus = set(simulation.entities["products"]["external_id"])
    products = simulation.entities["customer_events"]["products"].drop_nulls()
    assert set(products.str.json_decode(LINE).explode().struct.field("product_id")) <= skus
    assert set(line_rows(simulation)["product_id"]) <= skus


def test_ids_are_unique_where_there_is_one_version(simulation: Simulation) -> None:
    for name in ("customer_events", "links", "opt_outs", "outlets", "groups"):
        assert simulation.entities[name]["external_id"].is_unique().all(), name
    for name in ("identity_links", "stock_levels", "campaign_customers", "fx_rates", "referral_events"):
        key = list(ENTITIES[name].natural_key)
        assert not simulation.entities[name].select(key).is_duplicated().any(), name


def test_money_of_headers_and_lines_adds_up(simulation: Simulation) -> None:
    heads = latest_sales(simulation)
    shipped = pl.col("gross_minor") - pl.col("discount_minor") + pl.col("shipping_minor")
    assert heads.select((shipped == pl.col("net_minor")).all()).item()
    rows = line_rows(simulation)
    assert rows.select(
        (pl.col("line_gross_minor") - pl.col("line_discount_minor") == pl.col("line_net_minor")).all()
    ).item()
    sums = rows.group_by("external_id").agg(
        (pl.col("line_gross_minor").sum() == pl.col("gross_minor").first()).alias("gross"),
        (pl.col("line_net_minor").sum() == (pl.col("net_minor") - pl.col("shipping_minor")).first()).alias("net"),
    )
    assert sums["gross"].all() and sums["net"].all()
    error = (pl.col("quantity").cast(pl.Float64) * pl.col("unit_price_minor") - pl.col("line_gross_minor")).abs()
    assert rows.select(error.max()).item() <= 0.5


def test_returns_are_negative_and_later_than_their_sale(simulation: Simulation) -> None:
    frame = simulation.entities["transactions"]
    returns = frame.filter(pl.col("type") == "return")
    sales = latest_sales(simulation).filter(pl.col("type") == "sale")
    joined = returns.join(sales, left_on="original_transaction_id", right_on="external_id", suffix="_sale")
    assert len(joined) == len(returns) > 20
    assert joined.select(
        ((pl.col("net_minor") < 0) & (pl.col("occurred_at") > pl.col("occurred_at_sale"))).all()
    ).item()
    assert joined.select((-pl.col("net_minor") <= pl.col("net_minor_sale")).all()).item()


def test_nothing_happens_outside_the_days(simulation: Simulation) -> None:
    start = datetime(2025, 3, 15, tzinfo=UTC)
    end = datetime(2025, 4, 3, 23, tzinfo=UTC)
    times = simulation.entities["customer_events"]["occurred_at"]
    assert times.is_sorted() and times.min() >= start and times.max() < end
    for name, frame in simulation.entities.items():
        assert frame[ENTITIES[name].ordered_by].max() < end, name


def test_an_order_completed_is_the_transaction_at_its_instant(simulation: Simulation) -> None:
    done = simulation.entities["customer_events"].filter(pl.col("event_name") == "Order Completed")
    joined = done.join(latest_sales(simulation), left_on="order_id", right_on="external_id", suffix="_sale")
    assert len(joined) == len(done) > 100
    assert joined.select((pl.col("occurred_at") == pl.col("occurred_at_sale")).all()).item()
    assert joined.select((pl.col("value_minor") == pl.col("net_minor")).all()).item()


def test_carts_never_lose_more_than_they_hold(simulation: Simulation) -> None:
    events = simulation.entities["customer_events"].filter(
        pl.col("event_name").is_in(["Product Added", "Product Removed"]), pl.col("cart_id").is_not_null()
    )
    rows = (
        events.select("event_name", "cart_id", pl.col("products").str.json_decode(LINE))
        .explode("products")
        .unnest("products")
    )
    amount = pl.col("quantity").cast(pl.Decimal(12, 3)) * pl.when(pl.col("event_name") == "Product Added").then(
        1
    ).otherwise(-1)
    running = rows.with_columns(held=amount.cum_sum().over("cart_id", "product_id"))
    assert running["held"].min() >= 0
    assert (running["held"] == 0).any()


def test_rates_are_sane(simulation: Simulation) -> None:
    events = simulation.entities["customer_events"]
    names = Counter(events["event_name"].to_list())
    per_visitor_month = len(events) / CONFIG.visitors * 30 / CONFIG.days
    assert 20 < per_visitor_month < 45
    assert 0.03 < names["Order Completed"] / names["Session Started"] < 0.15
    assert 0.3 < len(simulation.truth["cart_abandonments"]) / names["Product Added"] < 0.8
    views = events["product_id"].drop_nulls().value_counts(sort=True)["count"]
    assert views.head(len(views) // 10).sum() > 0.3 * views.sum()
    ended = set(simulation.truth["cart_abandonments"]["ended_by"])
    assert ended == {None, "order", "cart_emptied", "expiry"}
    assert len(simulation.truth["lapsed_customers"]) > 20
    assert len(simulation.truth["repeat_purchasers"]) > 50
    assert (simulation.truth["stock"]["measured_online"] <= 3_000).any()


def test_sales_follow_the_week_in_the_tenants_zone(simulation: Simulation) -> None:
    local = simulation.entities["customer_events"]["occurred_at"].dt.convert_time_zone("Europe/London")
    hours = Counter(local.dt.hour().to_list())
    assert hours[20] > 5 * hours[3]


def test_truth_of_orders_equals_a_count_over_the_rows(simulation: Simulation) -> None:
    rows = simulation.entities["transactions"]
    cancelled = set(rows.filter(pl.col("status") == "cancelled")["external_id"])
    sold = line_rows(simulation).filter(
        pl.col("type") == "sale",
        ~pl.col("external_id").is_in(list(cancelled)),
        pl.col("occurred_at") >= datetime(2025, 3, 15, tzinfo=UTC),
    )
    units = sold.select((pl.col("quantity") * 1000).cast(pl.Int64).sum()).item()
    assert simulation.truth["units_sold"]["units_sold"].sum() == units
    assert simulation.truth["units_sold"]["lines_sold"].sum() == len(sold)


def test_truth_of_stock_is_the_last_measurement_of_the_day(simulation: Simulation) -> None:
    levels = simulation.entities["stock_levels"].filter(pl.col("outlet_id") == "outlet-online")
    day = pl.col("measured_at").dt.convert_time_zone("Europe/London").dt.date()
    last = levels.sort("measured_at").group_by(day.alias("date"), "product_id").agg(pl.col("available").last())
    joined = simulation.truth["stock"].join(last, on=["date", "product_id"], how="full")
    assert joined.select((pl.col("measured_online") == pl.col("available")).all()).item()
    assert joined["available"].null_count() == 0
    assert levels["available"].min() >= 0


def test_truth_of_clicks_equals_a_count_over_the_rows(simulation: Simulation) -> None:
    clicks = simulation.entities["customer_events"].filter(pl.col("event_name") == "Link Clicked")
    truth = simulation.truth["link_clicks"]
    assert truth["clicks"].sum() == (clicks["agent_class"] == "human").sum() > 0
    assert truth["bot_clicks"].sum() == (clicks["agent_class"] == "bot").sum() > 0


def test_an_opted_out_customer_gets_no_message(simulation: Simulation) -> None:
    out = simulation.entities["opt_outs"].filter(pl.col("action") == "opt_out").drop_nulls("customer_id")
    first = out.group_by("customer_id").agg(pl.col("occurred_at").min().alias("since"))
    back = simulation.entities["opt_outs"].filter(pl.col("action") == "opt_in")["customer_id"]
    sent = simulation.entities["customer_events"].filter(pl.col("event_name") == "Message Sent")
    late = sent.join(first, on="customer_id").filter(
        pl.col("occurred_at") > pl.col("since") + timedelta(hours=1), ~pl.col("customer_id").is_in(back.to_list())
    )
    assert len(late) == 0
    suppressed = simulation.entities["campaign_customers"].filter(pl.col("suppression_reason").is_not_null())
    assert len(suppressed) > 0


def test_contact_details_cannot_belong_to_anyone(simulation: Simulation) -> None:
    customers = simulation.entities["customers"]
    assert customers["email"].drop_nulls().str.ends_with("@example.com").all()
    assert customers["phone"].drop_nulls().str.contains(r"^\+447700900\d{3}$").all()


def test_wall_times_in_a_gap_move_on_and_repeated_ones_fall_on_both_sides() -> None:
    london = ZoneInfo("Europe/London")
    spring = wall_to_utc(np.array([0]), np.array([HOUR + HOUR // 2]), date(2025, 3, 30), london)
    assert spring[0] == int(datetime(2025, 3, 30, 1, 30, tzinfo=UTC).timestamp()) * SECOND
    autumn = wall_to_utc(np.array([0, 0]), np.array([HOUR, HOUR + 1_000]), date(2025, 10, 26), london)
    assert abs(int(autumn[1] - autumn[0])) > HOUR // 2


@pytest.mark.parametrize("value", [-2_500, -1_500, -501, -500, 0, 499, 500, 501, 1_500, 2_500])
def test_half_even_agrees_with_python(value: int) -> None:
    assert half_even(np.array([value]))[0] == round(value / 1_000)


@pytest.mark.parametrize("zone", ["Africa/Cairo", "America/New_York", "Asia/Kathmandu"])
def test_small_worlds_in_other_zones(zone: str) -> None:
    config = SimulationConfig(
        ZoneInfo(zone), date(2025, 4, 25), date(2025, 4, 26), visitors=3, customers=1, currency="EUR"
    )
    simulation = simulate(config)
    assert set(simulation.entities) == set(ENTITIES)
    local = simulation.entities["customer_events"]["occurred_at"].dt.convert_time_zone(zone).dt.date()
    assert set(local) <= {date(2025, 4, 25), date(2025, 4, 26)}


def test_settings_that_make_no_sense_are_refused() -> None:
    for changes in ({"last": date(2025, 3, 1)}, {"visitors": 0}, {"seed": -1}, {"products": 2}):
        with pytest.raises(UsageError):
            replace(CONFIG, **changes)
