"""Processes that are killed at any moment leave nothing half done in sight, and running again finishes the work."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from pipelines import flow
from pipelines.config import Tenant
from pipelines.landing import store
from tests.properties.digest import Digest, digest, manifest_problems, settled
from tests.properties.simulated import as_file, land_world, lines_of
from tests.properties.tenants import make_tenant

KILLS = 2
SEEDS = [1, 2, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(3, 40))]


def again(tenant: Tenant) -> Tenant:
    """The tenant as another process would open it."""
    return Tenant(tenant.config, tenant.home, tenant.folder)


def murmur(tenant: Tenant, *words: str) -> subprocess.Popen[bytes]:
    """A command of the command line in a process of its own."""
    places = ["--home", str(tenant.home), "--tenants", str(tenant.folder.parent)]
    command = [sys.executable, "-m", "pipelines.cli", *places, *words, "--tenant", tenant.id, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ})


def killed_after(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Kill the process, unless it ends before; a process that fails by itself is an error."""
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return
    assert process.returncode == 0, errors.decode()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Digest, float]:
    """The digest of an undisturbed run, and how long a process takes for it."""
    tenant = land_world(make_tenant(tmp_path_factory.mktemp("whole")), "autumn")
    begun = time.monotonic()
    _, errors = murmur(tenant, "run").communicate()
    assert digest(again(tenant)), errors.decode()
    return digest(again(tenant)), time.monotonic() - begun


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_runs_are_finished_by_the_next(tmp_path, whole, seed):
    expected, seconds = whole
    chance = random.Random(seed)
    tenant = land_world(make_tenant(tmp_path), "autumn")
    for _ in range(KILLS):
        killed_after(murmur(tenant, "run"), chance.uniform(0.3, 1.0) * seconds)
        assert manifest_problems(tenant) == []
    assert digest(settled(again(tenant))) == expected
    assert manifest_problems(tenant) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_ingest_shows_no_part_of_a_batch(tmp_path, seed):
    chance = random.Random(seed)
    tenant = make_tenant(tmp_path / "killed")
    file = tmp_path / "customer_events.ndjson"
    text = lines_of("autumn")["customer_events"]
    many = [line.replace('"external_id":"', f'"external_id":"{copy}-', 1) for copy in range(150) for line in text]
    file.write_bytes(as_file(many))
    words = ("ingest", "--entity", "customer_events", str(file))
    for _ in range(KILLS):
        killed_after(murmur(tenant, *words), chance.uniform(0.8, 4.0))
        seen = store.scan(tenant, "customer_events").collect().height
        assert seen == sum(r["accepted"] + r["superseded"] for r in store.receipts(tenant, "customer_events"))
    killed_after(murmur(tenant, *words), 120)
    straight = make_tenant(tmp_path / "straight")
    killed_after(murmur(straight, *words), 120)
    found, expected = (store.scan(one, "customer_events").sort("line_no").collect() for one in (tenant, straight))
    assert found.height and found.equals(expected)
    names = [sorted(path.relative_to(one.landing) for path in one.landing.rglob("*")) for one in (tenant, straight)]
    assert names[0] == names[1]


def test_two_runs_at_once(tmp_path, whole):
    expected, _ = whole
    tenant = land_world(make_tenant(tmp_path), "autumn")
    processes = [murmur(tenant, "run") for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        message = errors.decode()
        assert process.returncode in (0, 1), message
        assert "Traceback" not in message
        assert process.returncode == 0 or "run it again" in message, message
    flow.run(again(tenant))
    assert digest(settled(again(tenant))) == expected
    assert manifest_problems(tenant) == []
