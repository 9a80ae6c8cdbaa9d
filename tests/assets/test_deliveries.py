from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from assets.deliveries import deliveries_page
from pipelines.delivery.deliver import Control, Delivered
from pipelines.delivery.worker import drain
from tests.delivery.receivers import FakeClock, Reply, add_endpoint, fill, make_worker, receiver


@pytest.fixture
def control(workspace):
    opened = Control.open(workspace, {})
    yield opened
    opened.engine.dispose()


def test_the_page_says_what_waits_what_is_oldest_and_who_fails(workspace, control):
    clock = FakeClock(datetime.now(UTC))
    with receiver(Reply(500)) as failing, receiver() as good:
        add_endpoint(control, failing.url, "ep_failing")
        add_endpoint(control, good.url, "ep_good")
        fill(control, clock, 3)
        drain(make_worker(control, clock))
    page = deliveries_page(workspace, "acme", Delivered(delivered=3), clock() + timedelta(seconds=65))
    assert page.asset_key == dg.AssetKey(["acme", "webhook_deliveries"])
    shown = {name: value.value for name, value in page.metadata.items() if hasattr(value, "value")}
    assert (shown["deliveries due"], shown["deliveries dead"], shown["endpoints active"]) == (3, 0, 2)
    assert 59 <= shown["oldest due, seconds"] <= 61
    (row,) = page.metadata["failures by endpoint"].records
    assert (row.data["endpoint_id"], row.data["failed"], row.data["last_error"]) == ("ep_failing", 3, "status_500")
    assert [record.data["deliveries"] for record in page.metadata["by state"].records] == [0, 3, 0, 0]


def test_without_failures_the_table_says_so(workspace, control):
    page = deliveries_page(workspace, "acme", Delivered(), datetime.now(UTC))
    assert page.metadata["failures by endpoint"].value == "*none*"
