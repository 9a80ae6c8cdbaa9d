from __future__ import annotations

import json
import threading
import time
import urllib.request
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.cli.listen import Inbox, line_of, verifying
from pipelines.cli.local_server import make_server, serving
from pipelines.cli.main import cli
from pipelines.config import Workspace
from pipelines.delivery.event_pages import example
from pipelines.delivery.flock import flock_body
from pipelines.delivery.signing import flock_signature, signature_headers
from pipelines.delivery.subscriptions import filters_of
from pipelines.errors import MurmurError, UsageError
from pipelines.landing.received import received_folder
from tests.delivery.receivers import SECRET
from tests.delivery.test_cli import murmur, where
from tests.delivery.test_formats import event

URL = "http://127.0.0.1:9/hook"


def add(workspace: Workspace, *options: str) -> dict[str, Any]:
    murmur(workspace, "webhook", "add", "--tenant", "acme", URL, "--allow-private", *options)
    found: dict[str, Any] = murmur(workspace, "webhook", "list")[-1]
    return found


def test_everything_that_can_be_asked_for_is_listed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "Bearer of-mine")
    options = ["--event", "signal.*", "--signal", "demand_state", "--filter", "value_after>=3", "--batch", "10"]
    own = ["--header", "X-Source: murmuration", "--header-env", "Authorization=SHOP_TOKEN"]
    shown = add(workspace, *options, *own, "--rate", "20", "--max-in-flight", "4")
    assert shown["filters"] == {"signal_id": ["demand_state"], "value_after": {"gte": 3}}
    assert (shown["batch_max"], shown["rate"], shown["max_in_flight"]) == (10, 20, 4)
    assert shown["header_names"] == ["Authorization", "X-Source"]
    assert "of-mine" not in json.dumps(shown)
    assert add(workspace, "--format", "flock")["format"] == "flock"


@pytest.mark.parametrize(
    ("texts", "filters"),
    [
        (["cohort_id=a,b"], {"cohort_id": ["a", "b"]}),
        (["to_state = surging"], {"to_state": "surging"}),
        (["n>=5", "n<10"], {"n": {"gte": 5, "lt": 10}}),
        (["n!=x"], {"n": {"ne": "x"}}),
        (["n>1.5"], {"n": {"gt": 1.5}}),
        (["sku=007"], {"sku": "007"}),
    ],
)
def test_filters_as_people_type_them(texts: list[str], filters: dict[str, Any]) -> None:
    assert filters_of(texts) == filters


@pytest.mark.parametrize("texts", [["n"], ["n="], ["=5"], ["N>5"], ["n=1", "n>2"], ["n=1", "n=2"]])
def test_what_is_no_filter_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        filters_of(texts)


@pytest.mark.parametrize(
    "options",
    [
        ["--header", "no-colon-secret"],
        ["--header", "Webhook-Id: x"],
        ["--header", "A: 1", "--header", "A: 2"],
        ["--header-env", "A=NOT_SET_ANYWHERE"],
        ["--rate", "0"],
        ["--batch", "101"],
        ["--format", "flock", "--batch", "2"],
        ["--cohort", "a", "--filter", "cohort_id=b"],
        ["--event", "referral.sparkled"],
        ["--filter", "cart_totl_value>5"],
        ["--event", "export.*", "--cohort", "cart_abandoner"],
    ],
)
def test_what_cannot_be_is_one_line_and_makes_no_endpoint(workspace: Workspace, options: list[str]) -> None:
    with pytest.raises(UsageError) as raised:
        add(workspace, *options)
    assert "\n" not in str(raised.value)
    assert "no-colon-secret" not in str(raised.value)
    assert murmur(workspace, "webhook", "list") == []


def test_empty_lists_say_what_to_do(workspace: Workspace) -> None:
    for command, hint in (("list", "murmur webhook add"), ("deliveries", "murmur deliver")):
        shown = CliRunner().invoke(cli, [*where(workspace), "webhook", command])
        assert shown.exit_code == 0
        assert hint in shown.stderr
        assert murmur(workspace, "webhook", command) == []


def test_a_suspended_endpoint_is_enabled_again_and_a_removed_one_is_not(workspace: Workspace) -> None:
    endpoint_id = add(workspace)["endpoint_id"]
    for command, state in (("suspend", "suspended"), ("enable", "active")):
        CliRunner().invoke(cli, [*where(workspace), "webhook", command, endpoint_id])
        assert murmur(workspace, "webhook", "list")[0]["state"] == state
    CliRunner().invoke(cli, [*where(workspace), "webhook", "remove", endpoint_id])
    refused = CliRunner().invoke(cli, [*where(workspace), "webhook", "enable", endpoint_id], standalone_mode=False)
    assert isinstance(refused.exception, UsageError)


def test_the_handshake_of_the_local_receiver_makes_an_endpoint_active(workspace: Workspace) -> None:
    server = make_server(0, verifying(SECRET, lambda event: None))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    options = ["--allow-private", "--handshake", "required"]
    made = murmur(workspace, "webhook", "add", "--tenant", "acme", url, *options)
    assert murmur(workspace, "webhook", "list")[0]["state"] == "active"
    server.shutdown()
    server.server_close()
    with pytest.raises(MurmurError, match="connect"):
        murmur(workspace, "webhook", "handshake", made["endpoint_id"])
    assert murmur(workspace, "webhook", "list")[0]["disabled_because"] == "handshake"


def test_the_listener_shows_every_format_once(capsys: pytest.CaptureFixture[str]) -> None:
    inbox = Inbox(None, False)
    answer = verifying(SECRET, inbox.take)
    flock = flock_body(event(7, '{"to_state":"surging","signal_id":"demand"}'), int(time.time()))
    batch = [
        {**example(kind), "id": kind, "timestamp": int(time.time())} for kind in ("cohort.entered", "export.published")
    ]
    for _ in range(2):
        for message_id, body in (("e7", flock), ("batch_1", batch)):
            raw = json.dumps(body).encode()
            headers = signature_headers([SECRET], message_id, int(time.time()), raw)
            assert answer(headers, raw) == (200, {"received": True})
    assert capsys.readouterr().out.splitlines() == [
        "cohort.entered  visitor:fv_1  demand  surging",
        "cohort.entered  fv_8c1f  high_value_cart_abandoner  249.50 GBP",
        "export.published  export:cohort_membership/2026-01-05  cohort_membership  -",
    ]
    assert line_of({"type": "x", "subject": "s", "data": None}) == "x  s  -  -"


def test_referral_events_are_received_over_http(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOCK_SECRET", SECRET)
    with (workspace.tenants / "acme" / "tenant.yaml").open("a") as file:
        file.write("referrals: {secret_env: FLOCK_SECRET}\n")
    with serving(0, lambda headers, body: (200, {})) as free:
        pass
    command = ["webhook", "receive", "--tenant", "acme", "--port", str(free), "--count", "1"]
    runner = threading.Thread(target=lambda: CliRunner().invoke(cli, [*where(workspace), *command]))
    runner.start()
    body = json.dumps(
        {"name": "referral.new", "entity": "referral", "entityId": "r", "timestamp": time.time()}
    ).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{free}/", body, {"X-Flock-Signature": flock_signature(SECRET, body)}
    )
    for _ in range(200):
        try:
            with urllib.request.urlopen(request) as response:  # noqa: S310
                assert json.load(response) == {"received": True}
            break
        except OSError:
            time.sleep(0.05)
    runner.join(timeout=10)
    assert not runner.is_alive()
    assert len(list(received_folder(workspace.tenant("acme")).rglob("*.json"))) == 1
