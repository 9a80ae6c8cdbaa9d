from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path

from assets.demo import wait_for_port
from assets.demo_slack import lines, told_slack
from pipelines.delivery.event_pages import example
from pipelines.delivery.signing import flock_signature
from tests.delivery.receivers import SECRET


def test_the_bridge_of_the_demo_tells_its_slack_by_name(tmp_path: Path) -> None:
    people = [{"external_id": "c-1042", "first_name": "Ada", "last_name": "Example"}, {"external_id": "c-1"}]
    records = [*map(json.dumps, people), "damaged", '["no record"]']
    (tmp_path / "customers.0001.ndjson").write_text("\n".join(records), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    body = json.dumps({**example("cohort.entered"), "timestamp": int(time.time())}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/", body, {"X-Flock-Signature": flock_signature(SECRET, body)}
    )
    with told_slack(tmp_path, tmp_path / "home", port, SECRET) as messages:
        wait_for_port(port)
        urllib.request.urlopen(request).close()  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310
    assert len(messages) == 1
    assert lines(messages) == [
        "A valuable cart was left behind",
        "  Customer  Ada Example",
        "  Cart  249.50 GBP",
        "  Products  sku-1, sku-2",
        "  Strongest signal  scarcity",
        "  [Open in the admin] https://shop.example/admin/customers/c-1042",
    ]
