from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy import select

from pipelines.config import Tenant
from pipelines.delivery import endpoints, replay
from pipelines.delivery.deliver import Control
from pipelines.delivery.instants import micros
from pipelines.delivery.outbox import Filled, fill_outbox, sync_outbox
from pipelines.delivery.steps import run_event_log
from pipelines.errors import UsageError
from pipelines.storage.control import writing
from pipelines.storage.control.tables import deliveries, events
from tests.delivery.receivers import (
    DAY,
    NOON,
    FakeClock,
    add_endpoint,
    fill,
    rows_of,
    states,
    told,
    transition,
    transitions,
)

NOW = micros(NOON)
URL = "http://127.0.0.1:9/hook"


def test_events_become_deliveries_of_the_endpoints_that_want_them(control: Control) -> None:
    add_endpoint(control, URL, "ep_all")
    add_endpoint(control, URL, "ep_exits", event_types=("cohort.exited",))
    add_endpoint(control, URL, "ep_lapsed", filters={"cohort_id": ["lapsed_shopper"]})
    add_endpoint(control, URL, "ep_other", tenant="other")
    assert fill_outbox(control.engine, "acme", told(3), NOW) == Filled(3, 3)
    assert {row["endpoint_id"] for row in rows_of(control, select(deliveries))} == {"ep_all"}


def test_filling_again_is_nothing_even_for_an_endpoint_that_came_later(control: Control) -> None:
    add_endpoint(control, URL)
    fill_outbox(control.engine, "acme", told(3), NOW)
    add_endpoint(control, URL, "ep_late")
    assert fill_outbox(control.engine, "acme", told(5), NOW) == Filled(2, 4)
    assert fill_outbox(control.engine, "acme", told(5), NOW) == Filled(0, 0)


def test_fillers_at_once_add_each_event_once(control: Control) -> None:
    add_endpoint(control, URL)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: fill_outbox(control.engine, "acme", told(20), NOW), range(6)))
    assert sum(item.events for item in done) == 20
    assert len(states(control)) == 20


def test_the_sequence_follows_the_order_of_telling(control: Control) -> None:
    fill_outbox(control.engine, "acme", told(4).sample(fraction=1, shuffle=True, seed=3), NOW)
    rows = rows_of(control, select(events).order_by(events.c.sequence))
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_a_customer_is_the_subject_by_its_own_name(control: Control) -> None:
    rows = told(1).with_columns(pl.lit("customer").alias("subject_type"), pl.lit("c9").alias("subject"))
    fill_outbox(control.engine, "acme", rows, NOW)
    assert rows_of(control, select(events))[0]["subject"] == "customer:c9"


def publish(tenant: Tenant, *indices: int) -> None:
    with tenant.lake.writer("cohort_transitions") as writer:
        writer.put(DAY, transitions(*(transition(index) for index in indices)))
    run_event_log(tenant, [DAY], clock=lambda: NOON + timedelta(days=1))


def test_the_lake_is_read_only_where_it_changed(control: Control, tenant: Tenant) -> None:
    add_endpoint(control, URL)
    publish(tenant, 1, 2)
    assert sync_outbox(control.engine, tenant, NOW) == Filled(2, 2)
    assert sync_outbox(control.engine, tenant, NOW) == Filled(0, 0)
    publish(tenant, 2, 3)
    assert sync_outbox(control.engine, tenant, NOW) == Filled(2, 2)
    kinds = sorted(row["type"] for row in rows_of(control, select(events)))
    assert kinds == ["cohort.entered"] * 3 + ["cohort.entry_retracted"]


def test_a_deleted_endpoint_cancels_and_a_disabled_one_keeps(control: Control, clock: FakeClock) -> None:
    add_endpoint(control, URL, "ep_gone")
    add_endpoint(control, URL, "ep_off")
    fill(control, clock, 1)
    with writing(control.engine) as connection:
        endpoints.set_state(connection, "ep_gone", "deleted", NOW)
        endpoints.set_state(connection, "ep_off", "disabled", NOW)
    kept = {row["endpoint_id"]: row["state"] for row in rows_of(control, select(deliveries))}
    assert kept == {"ep_gone": "cancelled", "ep_off": "pending"}


def test_a_span_is_replayed_with_what_was_never_sent(control: Control, clock: FakeClock) -> None:
    fill(control, clock, 3)
    add_endpoint(control, URL)
    fill(control, clock, 1, start=3)
    with writing(control.engine) as connection:
        assert replay.replay_span(connection, "ep_one", NOW, NOW + 1, NOW) == replay.Replayed(again=0, new=3)
        assert replay.replay_span(connection, "ep_one", NOW - 1, NOW, NOW) == replay.Replayed(again=0, new=0)
    assert states(control) == ["pending"] * 4


def test_what_still_waits_cannot_be_replayed(control: Control, clock: FakeClock) -> None:
    add_endpoint(control, URL)
    fill(control, clock, 1)
    waiting = rows_of(control, select(deliveries))[0]["delivery_id"]
    for wrong in (waiting, "dl_none"):
        with pytest.raises(UsageError), writing(control.engine) as connection:
            replay.replay_delivery(connection, wrong, NOW)
