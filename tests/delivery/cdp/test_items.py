"""Events as each platform takes them: like the example of each, and like its official client sends them."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from pipelines.delivery.cdp.batches import batches, prepared
from pipelines.delivery.cdp.hubs import HUBS
from pipelines.delivery.cdp.track import tracked
from pipelines.delivery.instants import from_micros
from tests.delivery.cdp.events import AT, NAMES, event

EXAMPLES = json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf-8"))
SETTINGS = {"account": "acme", "profile": "main", "datasource": "abc123"}
TRAIT = "flockr_high_value_cart_abandoner"


@pytest.mark.parametrize("name", HUBS)
def test_an_event_is_as_in_the_example(name):
    assert HUBS[name].items(tracked(event(), NAMES), SETTINGS) == EXAMPLES[name]


def test_a_linked_visitor_is_named_with_the_customer():
    found = tracked(event(external_id="c-1"), NAMES)
    segment, rudder, particle, tealium = (hub.items(found, SETTINGS)[0] for hub in HUBS.values())
    assert (
        (segment["anonymousId"], segment["userId"]) == (rudder["anonymousId"], rudder["userId"]) == ("fv_8c1f", "c-1")
    )
    assert particle["user_identities"] == {"other": "fv_8c1f", "customer_id": "c-1"}
    assert (tealium["tealium_visitor_id"], tealium["customer_id"]) == ("fv_8c1f", "c-1")


def test_the_trait_of_a_membership_has_an_id_of_its_own():
    found, left = tracked(event(), NAMES), tracked(event("cohort.exited"), NAMES)
    wanted = {**SETTINGS, "traits": "yes"}
    known, told = HUBS["segment"].items(found, wanted)
    assert (known["type"], known["traits"], known["anonymousId"]) == ("identify", {TRAIT: True}, "fv_8c1f")
    assert known["messageId"] != told["messageId"] == found.message_id
    assert HUBS["segment"].items(left, wanted)[0]["traits"] == {TRAIT: False}
    assert HUBS["mparticle"].items(left, wanted)[0]["user_attributes"] == {TRAIT: "false"}
    assert HUBS["tealium"].items(found, wanted)[0][TRAIT] == "true"


class Recorder(BaseHTTPRequestHandler):
    """Keeps path, authorization and body of each request."""

    received: ClassVar[list] = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.received.append((self.path, self.headers["Authorization"], json.loads(body)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def recorder():
    Recorder.received = []
    server = HTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def official(name, host):
    """A client of the platform's own that sends each call at once."""
    if name == "segment":
        from segment.analytics.client import Client

        return Client("key", host=host, sync_mode=True)
    from rudderstack.analytics.client import Client

    return Client("key", host=host, sync_mode=True, gzip=False)


@pytest.mark.parametrize("name", ["segment", "rudderstack"])
def test_the_official_client_sends_the_same(name, recorder):
    found, hub = tracked(event(external_id="c-1"), NAMES), HUBS[name]
    client = official(name, recorder)
    shared = {"anonymous_id": found.anonymous_id, "timestamp": from_micros(AT), "message_id": found.message_id}
    client.track("c-1", found.name, dict(found.properties), **shared)
    client.identify("c-1", {TRAIT: True}, **{**shared, "message_id": f"{found.message_id}:trait"})
    ready, _ = prepared(hub, [found], {"traits": "yes"})
    ours = json.loads(hub.body(ready[0].parts, "2026-01-01T00:00:00Z"))
    (path, authorization, track), (_, _, identify) = Recorder.received
    assert path == hub.path
    assert authorization == hub.headers("key")["Authorization"]
    for mine, (theirs,) in zip(ours["batch"], (identify["batch"], track["batch"]), strict=True):
        for key in ("type", "messageId", "anonymousId", "userId"):
            assert mine[key] == theirs[key], key
        # One client says in words what an empty object means as well.
        assert theirs["integrations"] in ({}, {"All": True})
        assert mine.get("event") == theirs.get("event")
        assert mine.get("properties") == theirs.get("properties")
        assert mine.get("traits") == theirs.get("traits")
        assert datetime.fromisoformat(mine["timestamp"]) == datetime.fromisoformat(theirs["timestamp"])
        assert mine["context"].keys() == theirs["context"].keys()
        assert mine["context"].get("traits") == theirs["context"].get("traits")
        assert mine["context"]["library"].keys() == theirs["context"]["library"].keys()
    assert {"batch", "sentAt"} <= track.keys()
    assert ours.keys() == {"batch", "sentAt"}


def test_every_account_has_its_authorization():
    assert HUBS["segment"].headers("key") == {"Authorization": "Basic " + base64.b64encode(b"key:").decode()}
    expected = {"Authorization": "Basic " + base64.b64encode(b"key:secret").decode()}
    assert HUBS["mparticle"].headers("key:secret") == expected
    assert HUBS["tealium"].headers("token") == {"Authorization": "Bearer token"}


@pytest.mark.parametrize("name", HUBS)
def test_a_body_is_what_the_platform_parses_and_as_large_as_was_reckoned(name):
    hub = HUBS[name]
    tracks = [tracked(event(event_id=f"e{number}"), NAMES) for number in range(25)]
    ready, refused = prepared(hub, tracks, {**SETTINGS, "traits": "yes"})
    assert not refused
    found = batches(hub, ready)
    sent = datetime(2026, 1, 1, tzinfo=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    ids = []
    for batch in found:
        parts = [part for each in batch for part in each.parts]
        body = hub.body(parts, sent)
        assert len(parts) <= hub.limits.events
        assert len(body) == sum(each.size for each in batch) - 1 + hub.request_overhead
        json.loads(body)
        ids += [each.message_id for each in batch]
    assert ids == [track.message_id for track in tracks]
