"""The example receivers, run as a reader would run them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import select, update

from pipelines.delivery.deliver import Control
from pipelines.delivery.event_pages import example
from pipelines.delivery.replay import replay_delivery
from pipelines.delivery.signing import flock_signature
from pipelines.delivery.worker import drain
from pipelines.storage.control import writing
from pipelines.storage.control.tables import deliveries, endpoints
from tests.delivery.receivers import (
    SECRET,
    FakeClock,
    Receiver,
    Reply,
    add_endpoint,
    fill,
    make_worker,
    receiver,
    rows_of,
    states,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "webhooks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running(name: str, folder: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": str(port), **environment}
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    with subprocess.Popen(
        command, env=given, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        try:
            for _ in range(200):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/", started
        finally:
            started.terminate()


def test_the_receiver_handles_each_event_once_across_a_restart(
    control: Control, clock: FakeClock, tmp_path: Path
) -> None:
    printed = []
    for attempt in range(2):
        with running("receiver", tmp_path) as (url, started):
            if attempt == 0:
                add_endpoint(control, url)
                fill(control, clock, 1)
            with writing(control.engine) as connection:
                connection.execute(update(endpoints).values(url=url))
            assert drain(make_worker(control, clock)) == {"delivered": 1}
            started.terminate()
            printed += (started.stdout.read() if started.stdout else "").splitlines()
        (row,) = rows_of(control, select(deliveries))
        with writing(control.engine) as connection:
            replay_delivery(connection, row["delivery_id"], 0)
    assert printed == ["cohort.entered fv_0 249.50"]


def test_the_code_in_the_guide_answers_as_the_contract_says(capsys: pytest.CaptureFixture[str]) -> None:
    guide = EXAMPLES.parents[1] / "webhooks.md"
    (code,) = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, str(guide), "exec"), names)  # noqa: S102
    body = json.dumps({**example("cohort.entered"), "timestamp": int(time.time())}).encode()
    answer = names["answer"]
    assert answer(SECRET, {}, body) == (401, {"error": "Missing signature header"})
    assert answer(SECRET, {"X-Flock-Signature": "0" * 64}, body)[0] == 400
    good = {"X-Flock-Signature": flock_signature(SECRET, body)}
    assert answer(SECRET, good, body) == (200, {"received": True})
    assert capsys.readouterr().out == "cohort.entered fv_8c1f\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "customers.csv"
    file.write_text("external_id,name\nc-1042,Ada <Example> & Co\n", encoding="utf-8")
    return file


def check_blocks(body: dict[str, Any]) -> None:
    """What Slack refuses: wrong types, empty or long texts, too many fields, links that are none."""
    assert isinstance(body["text"], str)
    assert 0 < len(body["blocks"]) <= 50
    for block in body["blocks"]:
        assert block["type"] in ("header", "section", "actions", "context")
        texts = [block["text"]] if block["type"] == "header" else block.get("fields", [])
        if block["type"] == "context":
            texts = block["elements"]
        if block["type"] == "actions":
            (button,) = block["elements"]
            assert button["type"] == "button"
            assert button["url"].startswith("https://")
            texts = [button["text"]]
        assert len(texts) <= 10
        for text in texts:
            assert set(text) == {"type", "text"}
            assert text["type"] == ("plain_text" if block["type"] in ("header", "actions") else "mrkdwn")
            assert 0 < len(text["text"]) <= (150 if block["type"] in ("header", "actions") else 2000)


def test_slack_is_told_who_it_is_what_it_is_worth_and_where_to_look(table: Path) -> None:
    slack = load("slack")
    body = slack.message(example("cohort.entered"), slack.customers(str(table)), "https://shop.example/admin")
    check_blocks(body)
    shown = json.dumps(body)
    for text in ("Ada &lt;Example&gt; &amp; Co", "249.50 GBP", "sku-1, sku-2", "scarcity"):
        assert text in shown
    assert body["blocks"][2]["elements"][0]["url"] == "https://shop.example/admin/customers/c-1042"


def test_a_visitor_whom_nobody_knows_and_odd_ids_make_a_message_too(table: Path) -> None:
    slack = load("slack")
    event = example("cohort.entry_retracted")
    event["data"] = {"flockr_vid": "fv/../<!channel>", "cohort_id": "x", "supersedes": "e"}
    body = slack.message(event, slack.customers(str(table)), "https://shop.example/admin")
    check_blocks(body)
    assert "<!channel>" not in json.dumps(body)
    assert body["blocks"][2]["elements"][0]["url"].endswith("/visitors/fv%2F..%2F%3C%21channel%3E")


def delivered(control: Control, clock: FakeClock, table: Path, slack: Receiver, tmp_path: Path) -> None:
    given = {"SLACK_URL": slack.url, "CUSTOMERS": str(table), "ADMIN_URL": "https://shop.example/admin"}
    with running("slack", tmp_path, **given) as (url, _):
        add_endpoint(control, url, filters={"cohort_id": ["high_value_cart_abandoner"]})
        fill(control, clock, 2)
        drain(make_worker(control, clock))
        clock.forward(10)
        drain(make_worker(control, clock))


def test_the_bridge_tells_slack_and_a_slack_that_was_away_is_told_later(
    control: Control, clock: FakeClock, table: Path, tmp_path: Path
) -> None:
    with receiver(Reply(500), Reply(200)) as slack:
        delivered(control, clock, table, slack, tmp_path)
    assert states(control) == ["delivered", "delivered"]
    bodies = [json.loads(got.body) for got in slack.received]
    # The one that failed came again; nothing was told twice.
    assert len(bodies) == 3
    assert len({body["blocks"][3]["elements"][0]["text"] for body in bodies}) == 2
    for body in bodies:
        check_blocks(body)
