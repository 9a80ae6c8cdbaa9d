"""Platforms as endpoints of the outbox: none lost, none given up for another's fault, a row for each attempt."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from sqlalchemy import select

from pipelines.config import Tenant, Workspace
from pipelines.delivery import endpoints
from pipelines.delivery.cdp import attempts as cdp_attempts
from pipelines.delivery.cdp.tokens import KEPT_SECONDS, Tokens
from pipelines.delivery.deliver import Control
from pipelines.delivery.destinations import sync_destinations
from pipelines.delivery.instants import micros
from pipelines.delivery.outbox import fill_outbox
from pipelines.delivery.worker import drain
from pipelines.errors import UsageError
from pipelines.storage.control import reading, writing
from pipelines.storage.control.tables import attempts, deliveries, events
from pipelines.storage.control.tables import endpoints as table
from tests.delivery.cdp.platforms import KEYS, platform, reply
from tests.delivery.receivers import FakeClock, Reply, add_endpoint, fill, make_worker, receiver, rows_of, told

KINDS = ("segment", "rudderstack", "mparticle", "tealium")
OWN: dict[str, dict[str, str]] = {
    "segment": {"region": "eu"},
    "rudderstack": {},
    "mparticle": {"pod": "eu1"},
    "tealium": {"account": "acme", "profile": "main", "datasource": "ds1"},
}


def write(tenant: Tenant, kind: str, url: str | None, **more: Any) -> Path:
    file = tenant.folder / "destinations" / f"{kind}.yaml"
    file.parent.mkdir(exist_ok=True)
    said = {"kind": kind, "secret_env": "PLATFORM_KEY", "allow_private": True, **OWN[kind], **more}
    file.write_text(yaml.safe_dump(said if url is None else {**said, "url": url}))
    return file


def declare(
    control: Control, tenant: Tenant, kind: str, url: str | None, clock: FakeClock, key: str = "", **more: Any
) -> endpoints.Endpoint:
    write(tenant, kind, url, **more)
    given = {"PLATFORM_KEY": key or KEYS[kind]}
    sync_destinations(control.engine, tenant, control.cipher, given, micros(clock()), development=False)
    with reading(control.engine) as connection:
        (found,) = [each for each in endpoints.listed(connection, tenant.id) if each.format == kind]
    return found


def states(control: Control) -> Counter[str]:
    return Counter(row["state"] for row in rows_of(control, select(deliveries)))


def ledger(control: Control) -> list[dict[str, Any]]:
    return rows_of(control, select(attempts).order_by(attempts.c.attempt_id))


def ids_of(rows: Any) -> list[str]:
    return list(rows["event_id"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_declared_platform_gets_every_event_once_in_batches(
    control: Control, tenant: Tenant, clock: FakeClock, kind: str
) -> None:
    with platform(kind) as hub:
        declare(control, tenant, kind, hub.url, clock, traits=True, rate=10_000)
        rows = fill(control, clock, 45)
        assert drain(make_worker(control, clock)) == {"delivered": 45}
    assert {key: number for key, number in hub.taken.items() if ":trait" not in key} == dict.fromkeys(ids_of(rows), 1)
    assert len(hub.sizes) == (5 if kind == "tealium" else 1)
    assert len(ledger(control)) == 45
    assert {row["status"] for row in ledger(control)} == {202 if kind == "mparticle" else 200}
    assert "high_value_cart_abandoner" in json.dumps(hub.items)
    assert "flockr_high_value_cart_abandoner" in json.dumps(hub.items)


@pytest.mark.parametrize("kind", KINDS)
def test_one_poison_event_is_a_dead_letter_alone(control: Control, tenant: Tenant, clock: FakeClock, kind: str) -> None:
    with platform(kind) as hub:
        declare(control, tenant, kind, hub.url, clock, rate=10_000)
        rows = fill(control, clock, 24)
        hub.poison = {ids_of(rows)[7]}
        assert drain(make_worker(control, clock)) == {"delivered": 23, "dead": 1}
    assert hub.taken == Counter(set(ids_of(rows)) - hub.poison)
    (dead,) = [row for row in ledger(control) if row["outcome"] == "dead"]
    assert ({dead["event_id"]}, dead["status"], dead["error_class"]) == (hub.poison, 400, "status_400")
    assert len(ledger(control)) == 24


@pytest.mark.parametrize("kind", KINDS)
def test_credentials_revoked_in_the_middle_pause_and_keep_everything(
    control: Control, tenant: Tenant, clock: FakeClock, kind: str
) -> None:
    with platform(kind) as hub, receiver() as operator:
        add_endpoint(control, operator.url, "ep_operator", event_types=("endpoint.*",))
        found = declare(control, tenant, kind, hub.url, clock, rate=10_000)
        rows = fill(control, clock, 20)
        drain(make_worker(control, clock))
        hub.revoked = True
        more = fill(control, clock, 20, start=20)
        drain(make_worker(control, clock))
        stopped = len(hub.box.received)
        with reading(control.engine) as connection:
            ended = endpoints.get(connection, found.endpoint_id)
        assert (ended.state, ended.disabled_because) == ("disabled", "credentials")
        fill(control, clock, 20, start=40)
        clock.forward(90)
        drain(make_worker(control, clock))
        assert len(hub.box.received) == stopped
        assert states(control)["dead"] == 0
        told = [json.loads(request.body) for request in operator.received]
        assert [(each["type"], each["data"]["reason"]) for each in told] == [("endpoint.disabled", "credentials")]
        # The same credential leaves it as it is; another one, two days later, gets everything.
        clock.forward(48 * 3600)
        assert declare(control, tenant, kind, hub.url, clock, rate=10_000).state == "disabled"
        hub.revoked = False
        fresh = declare(control, tenant, kind, hub.url, clock, key="other:key", rate=10_000)
        assert fresh.state == "active"
        declare(control, tenant, kind, hub.url, clock, rate=10_000)
        assert drain(make_worker(control, clock)).keys() == {"delivered"}
    assert set(ids_of(rows) + ids_of(more)) < set(hub.taken)
    assert (len(hub.taken), set(hub.taken.values())) == (60, {1})


def test_a_source_that_is_off_pauses_rudderstack(control: Control, tenant: Tenant, clock: FakeClock) -> None:
    with platform("rudderstack") as hub:
        hub.off = True
        found = declare(control, tenant, "rudderstack", hub.url, clock)
        fill(control, clock, 5)
        assert drain(make_worker(control, clock)) == {"retry": 5}
        with reading(control.engine) as connection:
            assert endpoints.get(connection, found.endpoint_id).disabled_because == "source_off"
        hub.off = False
        assert declare(control, tenant, "rudderstack", hub.url, clock).state == "disabled"
        with writing(control.engine) as connection:
            endpoints.set_state(connection, found.endpoint_id, "active", micros(clock()))
        clock.forward(1)
        assert drain(make_worker(control, clock)) == {"delivered": 5}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [429, 500])
def test_what_may_pass_is_tried_again_as_a_batch_with_a_new_instant(
    control: Control, tenant: Tenant, clock: FakeClock, kind: str, status: int
) -> None:
    with platform(kind) as hub:
        failing = [True]

        def before(number: int) -> Reply | None:
            return reply(status, {}, **{"Retry-After": "7"}) if failing else None

        hub.before = before
        declare(control, tenant, kind, hub.url, clock, rate=10_000)
        rows = fill(control, clock, 9)
        assert drain(make_worker(control, clock)) == {"retry": 9}
        assert drain(make_worker(control, clock)) == {}
        failing.clear()
        clock.forward(8)
        assert drain(make_worker(control, clock)) == {"delivered": 9}
    assert hub.taken == Counter(ids_of(rows))
    assert [row["number"] for row in ledger(control)] == [1] * 9 + [2] * 9
    if kind == "segment":
        stamps = [json.loads(request.body)["sentAt"] for request in hub.box.received]
        assert len(set(stamps)) == 2


def test_mparticle_says_behind_its_202_what_it_refused(control: Control, tenant: Tenant, clock: FakeClock) -> None:
    with platform("mparticle") as hub:
        declare(control, tenant, "mparticle", hub.url, clock)
        rows = fill(control, clock, 6)
        hub.throttled = {ids_of(rows)[2]}
        assert drain(make_worker(control, clock)) == {"delivered": 5, "retry": 1}
        (again,) = [row for row in ledger(control) if row["outcome"] == "retry"]
        assert (again["event_id"], again["status"]) == (ids_of(rows)[2], 429)
        clock.forward(90)
        assert drain(make_worker(control, clock)) == {"delivered": 1}
    assert hub.taken == Counter(ids_of(rows))


def test_tealium_uses_a_token_until_it_is_nearly_over_and_asks_anew_once(
    control: Control, tenant: Tenant, clock: FakeClock
) -> None:
    seconds = [0.0]
    with platform("tealium") as hub:
        declare(control, tenant, "tealium", hub.url, clock, rate=10_000)
        worker = make_worker(control, clock, tokens=Tokens(lambda: seconds[0]))
        for turn, (passed, asked) in enumerate([(0, 1), (KEPT_SECONDS - 1, 1), (1, 2)]):
            seconds[0] += passed
            fill(control, clock, 30, start=30 * turn)
            assert drain(worker) == {"delivered": 30}
            assert len(hub.tokens) == asked
        # A token that is refused early is exchanged once, whoever of the requests in flight finds out.
        hub.tokens.append("eyJ.somebody-else")
        fill(control, clock, 5, start=90)
        assert drain(worker) == {"delivered": 5}
    assert len(hub.tokens) == 4
    assert len(hub.taken) == 95
    kept = json.dumps(ledger(control)) + json.dumps(rows_of(control, select(table)), default=str)
    assert "eyJ" not in kept
    assert "who@example.com" not in kept


def test_what_cannot_be_sent_is_a_dead_letter_with_its_reason(
    control: Control, tenant: Tenant, clock: FakeClock
) -> None:
    with platform("rudderstack") as hub:
        declare(control, tenant, "rudderstack", hub.url, clock)
        rows = fill(control, clock, 3)
        nobody, large, good = ids_of(rows)
        data = json.loads(rows["payload"][0])
        with writing(control.engine) as connection:
            own = events.update().where
            bare = {key: value for key, value in data.items() if key != "flockr_vid"}
            connection.execute(own(events.c.event_id == nobody).values(subject="customer:c1", data=json.dumps(bare)))
            long = {**data, "top_signal": "x" * 40_000}
            connection.execute(own(events.c.event_id == large).values(data=json.dumps(long)))
        assert drain(make_worker(control, clock)) == {"delivered": 1, "dead": 2}
    assert hub.taken == Counter([good])
    reasons = {row["event_id"]: row["error_class"] for row in ledger(control)}
    assert reasons == {nobody: "no_identity", large: "too_large", good: None}


def test_a_credential_that_was_just_replaced_ends_nothing(control: Control, tenant: Tenant, clock: FakeClock) -> None:
    with platform("segment") as hub:

        def before(number: int) -> Reply | None:
            if number == 1:
                declare(control, tenant, "segment", hub.url, clock)
            return None

        hub.before = before
        declare(control, tenant, "segment", hub.url, clock, key="old")
        rows = fill(control, clock, 3)
        drain(make_worker(control, clock))
        clock.forward(1)
        assert drain(make_worker(control, clock)).keys() <= {"delivered"}
    assert hub.taken == Counter(ids_of(rows))


def test_crossings_are_told_of_the_product_where_they_are_asked_for(
    control: Control, tenant: Tenant, clock: FakeClock
) -> None:
    said = json.dumps(
        {"signal_id": "stock_runway_days", "crossing_id": "c1", "from_state": "healthy", "to_state": "low"}
    )
    rows = told(1).with_columns(
        pl.lit("signal.threshold_crossed").alias("kind"),
        pl.lit("product").alias("subject_type"),
        pl.lit("sku-1").alias("subject"),
        pl.lit(said).alias("payload"),
    )
    with platform("segment") as asked, platform("mparticle") as other:
        declare(control, tenant, "segment", asked.url, clock, products=True, cohorts=["none"])
        write(tenant, "mparticle", other.url)
        given = {"PLATFORM_KEY": KEYS["segment"]}
        sync_destinations(control.engine, tenant, control.cipher, given, micros(clock()), development=False)
        fill_outbox(control.engine, "acme", rows, micros(clock()))
        assert drain(make_worker(control, clock)) == {"delivered": 1}
    assert not other.box.received
    (item,) = asked.items
    assert (item["anonymousId"], item["event"]) == ("flockr:product:sku-1", "Flockr Signal Threshold Crossed")


def test_a_mistyped_kind_takes_nothing_away(control: Control, tenant: Tenant, clock: FakeClock) -> None:
    declare(control, tenant, "segment", None, clock)
    fill(control, clock, 2)
    file = write(tenant, "segment", None)
    file.write_text(file.read_text().replace("kind: segment", "kind: segmnt"))
    given = {"PLATFORM_KEY": KEYS["segment"]}
    with pytest.raises(UsageError, match=r"segment\.yaml: kind: .*rudderstack"):
        sync_destinations(control.engine, tenant, control.cipher, given, micros(clock()), development=False)
    assert states(control) == {"pending": 2}


def test_a_sandbox_sends_nothing(control: Control, tenant: Tenant, clock: FakeClock) -> None:
    with platform("segment") as hub:
        declare(control, tenant, "segment", hub.url, clock, mode="sandbox")
        fill(control, clock, 3)
        assert drain(make_worker(control, clock)) == {"sandbox": 3}
    assert not hub.box.received


def test_time_that_is_up_in_the_middle_of_a_batch_leaves_the_rest_due(
    control: Control, tenant: Tenant, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter([0.0, 0.0, *[1e9] * 1000])
    with platform("segment") as hub:
        declare(control, tenant, "segment", hub.url, clock)
        rows = fill(control, clock, 8)
        hub.poison = {ids_of(rows)[7]}

        class Ticks:
            monotonic = staticmethod(lambda: next(ticks))

        monkeypatch.setattr(cdp_attempts, "time", Ticks)
        counts = drain(make_worker(control, clock))
        # The first half was taken; what was in the refused request alone is due at once and kept.
        assert counts == {"delivered": 4, "retry": 4}
        monkeypatch.undo()
        clock.forward(1)
        assert drain(make_worker(control, clock)) == {"delivered": 3, "dead": 1}
    assert hub.taken == Counter(set(ids_of(rows)) - hub.poison)


def test_a_worker_killed_in_the_middle_of_a_batch_loses_nothing(
    control: Control, tenant: Tenant, workspace: Workspace, clock: FakeClock
) -> None:
    from tests.delivery.worker_process import started

    children: list[subprocess.Popen[bytes]] = []
    with platform("rudderstack") as hub:

        def before(number: int) -> Reply | None:
            if number == 3:
                children[0].kill()
                children[0].wait(10)
            return None

        hub.before = before
        declare(control, tenant, "rudderstack", hub.url, clock)
        rows = fill(control, clock, 40)
        hub.poison = {ids_of(rows)[11]}
        url = control.engine.url.render_as_string(hide_password=False)
        children.append(started(url, workspace.home, 60, 5.0))
        assert children[0].wait(60) < 0
        assert states(control) == {"delivering": 40}
        clock.forward(90)
        assert drain(make_worker(control, clock)) == {"delivered": 39, "dead": 1}
    assert set(hub.taken) == set(ids_of(rows)) - hub.poison
    # Each of the requests that the dead worker had sent was sent once more at most.
    assert max(hub.taken.values()) <= 2
    assert len(ledger(control)) == 40


def test_cohorts_and_signals_are_narrowed_apart(control: Control, tenant: Tenant, clock: FakeClock) -> None:
    found = declare(control, tenant, "segment", None, clock, products=True, cohorts=["a"], signals=["s"])
    assert found.wants("cohort.entered", {"cohort_id": "a"})
    assert not found.wants("cohort.exited", {"cohort_id": "b"})
    assert found.wants("signal.threshold_crossed", {"signal_id": "s"})
    assert not found.wants("signal.threshold_crossed", {"signal_id": "t"})
    assert not declare(control, tenant, "segment", None, clock).wants("signal.threshold_crossed", {"signal_id": "s"})
    assert not found.wants("campaign.launched", {})
    with pytest.raises(UsageError, match="products: true"):
        declare(control, tenant, "segment", None, clock, signals=["s"])


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("segment", "https://events.eu1.segmentapis.com/v1/batch"),
        ("mparticle", "https://s2s.eu1.mparticle.com/v2/bulkevents"),
        ("tealium", "https://platform.tealiumapis.com/v3/collect/bulk-event"),
    ],
)
def test_each_has_its_own_host(control: Control, tenant: Tenant, clock: FakeClock, kind: str, url: str) -> None:
    assert declare(control, tenant, kind, None, clock).url == url


def test_a_test_tells_whether_the_credential_is_taken(control: Control, tenant: Tenant, clock: FakeClock) -> None:
    from pipelines.delivery.replay import add_test

    with platform("segment") as hub:
        found = declare(control, tenant, "segment", hub.url, clock)
        for revoked, outcome in [(False, "delivered"), (True, "dead")]:
            hub.revoked = revoked
            with writing(control.engine) as connection:
                add_test(connection, found.endpoint_id, outcome, micros(clock()))
            assert drain(make_worker(control, clock)) == {outcome: 1}
    assert hub.items[0]["event"] == "Flockr Endpoint Tested"
