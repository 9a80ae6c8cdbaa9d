"""Publishing by processes that are killed or stopped at every step, on a disk and on S3."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import polars as pl
import pytest

from pipelines.exports.revision import newest_revision, revision_numbers
from pipelines.exports.verify import partition_problems
from pipelines.storage.objects import ObjectStore, fetch, open_store
from tests.faults.publishing import CONFLICT, PLACE, disturbed, publish_sizes
from tests.storage.servers import BUCKET, s3_server

#: Changes of the store that make a second revision: change list, data, manifest, copy, its manifest, marker.
STEPS = 6
POINTS = [(step, after) for step in range(1, STEPS + 1) for after in (False, True)]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    request.getfixturevalue("s3")
    return tmp_path.as_uri() if request.param == "file" else f"s3://{BUCKET}/{uuid.uuid4().hex}"


def start(url: str, step: int, after: bool, how: signal.Signals) -> ForkServerProcess:
    """A process that publishes ``[7]``; forked from one that has imported everything and computed nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.publishing", "pipelines.storage.objects.s3"])
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    process = context.Process(target=disturbed, args=(url, environment, [7], step, after, how))
    process.start()
    return process


def seen(store: ObjectStore, folder: Path) -> tuple[list[int], list[int]]:
    """Sizes that a reader of manifests finds, and those that one who globs finds."""
    newest = newest_revision(store, PLACE)
    assert newest is not None
    [entry] = newest.manifest.files
    assert fetch(store, entry.path, folder / "truth.parquet") == entry.sha256
    fetch(store, f"{PLACE.copy}/{entry.name}", folder / "copy.parquet")
    by_manifest, by_glob = (pl.read_parquet(folder / f"{name}.parquet")["size"].to_list() for name in ("truth", "copy"))
    return by_manifest, by_glob


@pytest.mark.parametrize(("step", "after"), POINTS)
def test_killed_at_a_step(url: str, tmp_path: Path, step: int, after: bool) -> None:
    store = open_store(url)
    publish_sizes(store, [1, 2])
    process = start(url, step, after, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    by_manifest, by_glob = seen(store, tmp_path)
    committed = (step, after) >= (3, True)
    assert by_manifest == ([7] if committed else [1, 2])
    assert by_glob in ([1, 2], [7])
    assert committed or partition_problems(store, PLACE) == []

    publish_sizes(store, [7])
    assert seen(store, tmp_path) == ([7], [7])
    assert revision_numbers(store, PLACE) == [1, 2]
    assert partition_problems(store, PLACE) == []


@pytest.mark.parametrize(("step", "after"), POINTS)
def test_stopped_at_a_step_while_another_publishes(url: str, tmp_path: Path, step: int, after: bool) -> None:
    store = open_store(url)
    publish_sizes(store, [1, 2])
    process = start(url, step, after, signal.SIGSTOP)
    wait_until_stopped(process)
    publish_sizes(store, [9])
    assert process.pid
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    assert process.exitcode == (CONFLICT if (step, after) < (3, True) else 0)
    assert seen(store, tmp_path) == ([9], [9])
    assert partition_problems(store, PLACE) == []


def wait_until_stopped(process: ForkServerProcess) -> None:
    for _ in range(600):
        state = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if state == "T":
            return
        time.sleep(0.05)
    raise AssertionError(f"the process does not stop: {process.exitcode}")
