"""A purchase that arrives late: the entry that was sent is retracted aloud, and both clocks give their own answer."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from pipelines.asof.agreement import agreements
from pipelines.cli.listen import verifying
from pipelines.cli.local_server import make_server
from pipelines.cli.main import cli
from pipelines.config import Tenant, Workspace
from pipelines.errors import UsageError
from tests.conftest import make_workspace
from tests.delivery.receivers import SECRET
from tests.properties.tenants import land

DAY = "2026-03-11"
SUBSCRIPTION = "kind: webhook\nurl: {url}\nsecret_env: SHOP_SECRET\nallow_private: true\n"


def event(key: str, name: str, at: str, visitor: str, day: str = DAY, **more: object) -> dict[str, object]:
    stamp = f"{day}T{at}:00Z"
    return {"external_id": key, "event_name": name, "occurred_at": stamp, "flockr_vid": visitor, **more}


def added(key: str, at: str, visitor: str, day: str = DAY) -> dict[str, object]:
    line = {"product_id": "p1", "quantity": "1", "unit_price_minor": 2500, "currency": "GBP"}
    return event(key, "Product Added", at, visitor, day, products=[line], cart_id=f"cart-{visitor}")


ON_TIME = [
    added("e0", "09:00", "v0", "2026-03-10"),
    added("e1", "10:00", "v1"),
    added("e2", "11:00", "v2"),
]
LATE = event("e3", "Order Completed", "10:15", "v1", order_id="o1")


@contextmanager
def listener() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The receiver of ``murmur listen``, which takes only what is signed."""
    taken: list[dict[str, Any]] = []
    server = make_server(0, verifying(SECRET, taken.append))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Shop:
    """A tenant whose purchase came late, and what its receiver got."""

    def __init__(self, workspace: Workspace, taken: list[dict[str, Any]]) -> None:
        self.workspace, self.taken = workspace, taken
        self.between = datetime.min.replace(tzinfo=UTC)

    @property
    def tenant(self) -> Tenant:
        return self.workspace.tenant("acme")

    def __call__(self, *words: str) -> str:
        places = ["--home", str(self.workspace.home), "--tenants", str(self.workspace.tenants)]
        done = CliRunner(env={"COLUMNS": "300"}).invoke(
            cli, [*places, *words, "--tenant", "acme"], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self(*words, "--json"))
        return found

    def subjects(self, *words: str) -> list[str]:
        return [row["subject"] for row in self.json("cohort", "members", "cart_abandoner", *words)["members"]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    workspace = make_workspace(tmp_path_factory.mktemp("late"))
    with pytest.MonkeyPatch.context() as patch, listener() as (url, taken):
        patch.setenv("SHOP_SECRET", SECRET)
        destination = workspace.tenants / "acme" / "destinations" / "shop.yaml"
        destination.parent.mkdir()
        destination.write_text(SUBSCRIPTION.format(url=url))
        found = Shop(workspace, taken)
        land(found.tenant, "customer_events", ON_TIME)
        found("run")
        found("deliver", "--once")
        found.between = datetime.now(UTC)
        land(found.tenant, "customer_events", [LATE])
        found("run")
        found("deliver", "--once")
        yield found


def entries(shop: Shop, subject: str) -> pl.DataFrame:
    log = shop.tenant.lake.read("event_log").filter(cohort_id="cart_abandoner", subject=subject)
    return log.sort("detected_at")


def test_the_entry_that_was_sent_is_retracted_by_an_event_that_names_it(shop: Shop) -> None:
    told = entries(shop, "v1")
    assert told.select("kind", "emission").rows() == [
        ("cohort.entered", "sent"),
        ("cohort.entry_retracted", "sent"),
    ]
    assert told["supersedes"].to_list() == [None, told["event_id"][0]]
    assert told["effective_at"].unique().to_list() == [datetime(2026, 3, 11, 10, 30, tzinfo=UTC)]
    assert told["detected_at"][0] < shop.between < told["detected_at"][1]


def test_the_receiver_got_both_in_order_and_nothing_twice(shop: Shop) -> None:
    mine = [each for each in shop.taken if each["data"]["cohort_id"] == "cart_abandoner" and each["subject"] == "v1"]
    assert [each["type"] for each in mine] == ["cohort.entered", "cohort.entry_retracted"]
    assert mine[1]["data"]["supersedes"] == mine[0]["id"]
    assert mine[0]["data"]["cart_total_value"] == mine[1]["data"]["cart_total_value"] == "25.00"
    assert len({each["id"] for each in shop.taken}) == len(shop.taken)
    assert not [each for each in shop.taken if each["subject"] == "v0"], "an older day is a backfill"


def test_both_clocks_differ_and_both_are_right(shop: Shop) -> None:
    assert shop.subjects("--as-of", DAY) == ["v0", "v2"]
    said = shop.json("cohort", "members", "cart_abandoner", "--as-of", DAY, "--said")
    assert [row["subject"] for row in said["members"]] == ["v0", "v1", "v2"]
    assert (said["clock"], said["source"], said["revision"], said["size"]) == ("said", "file", 1, 3)
    by_events = ["--as-of", DAY, "--said", "--source", "events"]
    assert shop.subjects(*by_events, "--at", f"{shop.between:%Y-%m-%dT%H:%M:%S.%fZ}") == ["v0", "v1", "v2"]
    assert shop.subjects(*by_events) == ["v0", "v2"]
    assert shop.subjects("--as-of", DAY, "--said", "--at", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}") == ["v0", "v2"]


def test_before_anything_was_published_only_events_can_answer(shop: Shop) -> None:
    early = ["--as-of", DAY, "--said", "--at", "2026-03-11T12:00:00Z"]
    found = shop.json("cohort", "members", "cart_abandoner", *early)
    assert (found["source"], found["size"]) == ("events", 0)
    with pytest.raises(UsageError, match="had been published by 2026-03-11T12:00:00Z"):
        shop("cohort", "members", "cart_abandoner", *early, "--source", "file")
    with pytest.raises(UsageError, match="add --said"):
        shop("cohort", "members", "cart_abandoner", "--source", "file")
    with pytest.raises(UsageError, match=r"'nobody' is not there; cohorts: .*cart_abandoner"):
        shop("cohort", "members", "nobody")


def test_members_as_csv(shop: Shop) -> None:
    rows = list(csv.DictReader(io.StringIO(shop("cohort", "members", "cart_abandoner", "--as-of", DAY, "--csv"))))
    assert [row["subject"] for row in rows] == ["v0", "v2"]
    assert rows[1]["entered_at"] == "2026-03-11T11:30:00Z"


def test_the_story_of_a_subject_has_what_was_true_and_what_was_told(shop: Shop) -> None:
    story = shop.json("cohort", "history", "cart_abandoner", "v1")
    assert story["spans"] == []
    [move] = story["moves"]
    assert (move["direction"], move["is_true"]) == ("entered", False)
    first, second = move["told"]
    assert (second["kind"], second["supersedes"]) == ("cohort.entry_retracted", first["event_id"])
    assert [[each["state"] for each in event["deliveries"]] for event in (first, second)] == [["delivered"]] * 2
    assert first["deliveries"][0]["finished_at"] <= second["deliveries"][0]["finished_at"]
    [span] = shop.json("cohort", "history", "cart_abandoner", "v2")["spans"]
    assert (span["valid_from"], span["valid_to"], span["entered_by"]) == ("2026-03-11T11:30:00Z", None, "silence")
    assert "cohort.entry_retracted" in shop("cohort", "history", "cart_abandoner", "v1")


def test_everything_agrees_afterwards(shop: Shop) -> None:
    found = shop.json("cohort", "verify")
    assert found["agree"]
    assert [(day["date"], day["sent"], day["withheld"]) for day in found["days"]] == [("2026-03-10", 0, 1), (DAY, 1, 0)]
    assert found["open"]["members"] == 2
    last = shop.tenant.lake.days("cohort_sizes")[-1]
    assert [each.day for each in agreements(shop.tenant, last)] == [last, None]


def test_a_slice_of_the_history_is_one_query(shop: Shop) -> None:
    sql = (
        "SELECT subject, date FROM cohort_membership_history WHERE cohort_id = 'cart_abandoner' AND "
        "valid_from < '2026-03-12T00:00:00Z' AND (valid_to IS NULL OR valid_to >= '2026-03-12T00:00:00Z') ORDER BY 1"
    )
    rows: Any = shop.json("query", sql)
    assert rows == [{"subject": "v0", "date": "9999-12-31"}, {"subject": "v2", "date": "9999-12-31"}]
