"""``murmur ingest --inbox`` killed with SIGKILL at set points: the next look loses nothing and lands nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.config import Tenant, Workspace
from pipelines.landing import leftovers, seen, store
from pipelines.landing.inbox import glance, land_drops
from tests.landing.support import customer, event, ndjson
from tests.properties.tenants import make_tenant

LATER = datetime.now(UTC) + timedelta(hours=1)
#: Runs the command line, and kills its own process where a function is called for the nth time, before or after it.
DRIVER = """
import importlib, os, signal, sys
from pipelines.cli.main import main
module, name, at, when, *words = sys.argv[1:]
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
real, calls = getattr(owner, last), 0
def called(*args, **options):
    global calls
    calls += 1
    if calls == int(at) and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*args, **options)
    if calls == int(at):
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, last, called)
main(words)
"""
LOCAL = "pipelines.storage.objects.local"
POINTS = [
    ("pipelines.landing.vault", "seal", 1, "after"),
    ("pipelines.landing.ingest", "create_bytes", 2, "before"),
    ("pipelines.landing.ingest", "create_bytes", 1, "after"),
    ("pipelines.landing.seen", "remember", 1, "after"),
    (LOCAL, "LocalStore.copy", 2, "after"),
    (LOCAL, "LocalStore.delete", 1, "after"),
]
FILES = {
    "customers/a.ndjson": ndjson([customer(external_id=f"c-{n}", email="ann@example.com") for n in range(3)]),
    "customers/b.ndjson": ndjson([customer(external_id="c-9"), customer(updated_at="never")]),
    "customer_events/c.ndjson": ndjson([event(external_id=f"e-{n}") for n in range(5)]),
}


def dropped(root: Path, after: str) -> Tenant:
    tenant = make_tenant(root)
    with (tenant.folder / "tenant.yaml").open("a") as file:
        file.write(f"\ninbox: [{{url: '{tenant.inbox.absolute().as_uri()}', after: {after}}}]\n")
    for key, data in FILES.items():
        path = tenant.inbox / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        old = datetime.now(UTC).timestamp() - 60
        os.utime(path, (old, old))
    return opened(tenant)


def opened(tenant: Tenant) -> Tenant:
    """The tenant as its file says now."""
    return Workspace(tenant.home, tenant.folder.parent).tenant(tenant.id)


def names(tenant: Tenant) -> list[str]:
    return sorted(str(path.relative_to(tenant.inbox)) for path in tenant.inbox.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("after", "point"), [*(("move", point) for point in POINTS), ("delete", (LOCAL, "LocalStore.delete", 2, "before"))]
)
def test_a_look_killed_at_a_set_point_is_finished_by_the_next(tmp_path: Path, point: tuple, after: str) -> None:
    tenant = dropped(tmp_path, after)
    places = ["--home", str(tenant.home), "--tenants", str(tenant.folder.parent)]
    words = [str(part) for part in point] + [*places, "ingest", "--inbox", "--tenant", tenant.id]
    killed = subprocess.run([sys.executable, "-c", DRIVER, *words], capture_output=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    for receipt in [*store.committed(tenant, "customers"), *store.committed(tenant, "customer_events")]:
        assert receipt.received == receipt.accepted + receipt.quarantined
    due, _ = glance(tenant, LATER)
    assert due
    look = land_drops(tenant, lambda: LATER)
    assert (look.failed, look.unreachable, look.left) == ([], [], {})
    counted = [r for name in ("customers", "customer_events") for r in store.committed(tenant, name)]
    assert sum(r.received for r in counted) == 10
    assert sum(r.accepted for r in counted) == 9
    assert sum(r.duplicate for r in counted) == 0
    assert store.scan(tenant, "customers").collect()["external_id"].n_unique() == 4
    assert store.scan(tenant, "customer_events").collect().height == 5
    kept = names(tenant)
    assert [name.rpartition("-")[2] for name in kept] == (
        ["c.ndjson", "a.ndjson", "b.ndjson"] if after == "move" else []
    )
    assert all(name.startswith("_landed/") for name in kept)
    again = land_drops(tenant, lambda: LATER)
    assert (again.receipts, again.failed, names(tenant)) == ([], [], kept)
    assert glance(tenant, LATER)[0] == []
    assert list(leftovers.sealed(tenant)) == list(leftovers.landed(tenant)) == []
    assert len(seen.seen(tenant)) <= len(FILES)
