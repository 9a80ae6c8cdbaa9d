"""The demo's Slack: the example bridge beside a receiver that is shaped like Slack's, for the length of a delivery."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.cli.local_server import make_server

BRIDGE = Path(__file__).resolve().parent.parent / "docs" / "examples" / "webhooks" / "slack.py"
ADMIN_URL = "https://shop.example/admin"
#: What the bridge subscribes to.
WANTED = ("--event", "cohort.entered", "--cohort", "high_value_cart_abandoner")
SHOWN = 3


@contextmanager
def told_slack(source: Path, home: Path, port: int, secret: str) -> Iterator[list[dict[str, Any]]]:
    """Run the bridge; the Block Kit messages that it posted are in the list when the block ends.

    Args:
        source: folder of the retailer's own records, where the bridge's table of names comes from.
        home: where that table and what was told are kept.
        port: where the bridge listens.
        secret: of its endpoint.
    """
    messages: list[dict[str, Any]] = []

    def take(headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        messages.append(json.loads(body))
        return 200, {"ok": True}

    slack = make_server(0, take)
    threading.Thread(target=slack.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    environment = {
        **os.environ,
        "WEBHOOK_SECRET": secret,
        "PORT": str(port),
        "SLACK_URL": f"http://127.0.0.1:{slack.server_address[1]}/",
        "CUSTOMERS": str(_names(source, home)),
        "ADMIN_URL": ADMIN_URL,
        "TOLD": str(home / "told.db"),
    }
    with subprocess.Popen(
        [sys.executable, str(BRIDGE)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as bridge:
        try:
            yield messages
        finally:
            bridge.terminate()
            slack.shutdown()
            slack.server_close()


def lines(messages: list[dict[str, Any]]) -> list[str]:
    """The newest messages as they look, a line a block."""
    shown: list[str] = []
    for message in messages[-SHOWN:]:
        header, section, actions, _ = message["blocks"]
        fields = ["  ".join(field["text"].replace("*", "").split("\n", 1)) for field in section["fields"]]
        (button,) = actions["elements"]
        shown += [header["text"]["text"], *(f"  {field}" for field in fields), f"  [{button['text']['text']}]"]
        shown[-1] += f" {button['url']}"
    return shown


def _names(source: Path, home: Path) -> Path:
    """The bridge's own table: names by customer, which no event holds."""
    home.mkdir(parents=True, exist_ok=True)
    file = home / "customers.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow(["external_id", "name"])
        for part in sorted(source.glob("customers*.ndjson")):
            for line in part.read_text(encoding="utf-8").splitlines():
                table.writerows(_named(line))
    return file


def _named(line: str) -> list[tuple[str, str]]:
    """Id and name of a record; nothing for one that is damaged, as some of the demo's are."""
    try:
        record = json.loads(line)
        name = " ".join(record[part] for part in ("first_name", "last_name") if record.get(part))
        return [(record["external_id"], name)] if name else []
    except (ValueError, TypeError, KeyError, AttributeError):
        return []
