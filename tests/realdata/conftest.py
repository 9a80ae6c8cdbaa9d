"""Real data through the pipeline, once for all tests: entity files, ``murmur ingest``, then the steps.

Test processes share what the first of them computes. The tests that need the data are skipped where it is not there.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pipelines.cli.main import cli
from pipelines.config import Tenant, Workspace
from tests.realdata.truth import DATA

Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def source() -> Path:
    """The folder of the real data sets."""
    if not DATA.is_dir():
        pytest.skip("the real data sets are not in ../shared/data, beside the repository")
    return DATA


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Fill a folder of a given name once, however many test processes ask for it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "realdata"
    shared.mkdir(exist_ok=True)

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        place, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                place.mkdir()
                fill(place)
                done.touch()
        return place

    return folder


def open_tenant(root: Path) -> Tenant:
    """The tenant ``real`` of a folder that ``ingest_files`` filled."""
    return Workspace(root / "home", root / "tenants").tenant("real")


def add_tenant(root: Path, currency: str, parameters: dict[str, dict[str, object]] | None = None) -> None:
    """Write ``tenant.yaml`` of the tenant ``real``, whose days are UTC days as in every one of the data sets."""
    settings = {
        "id": "real",
        "timezone": "UTC",
        "currency": currency,
        "exports": {"s3": {"bucket": "exports"}, "gcs": {"bucket": "campaigns"}},
        "parameters": parameters or {},
    }
    file = root / "tenants" / "real" / "tenant.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(settings))


def ingest_files(root: Path, files: dict[str, list[Path]]) -> None:
    """Send every entity's files with ``murmur ingest`` and keep what it answered in ``counts.json``."""
    counts = {entity: _ingest(root, entity, paths) for entity, paths in files.items()}
    (root / "counts.json").write_text(json.dumps(counts))


def murmur(root: Path, *arguments: str) -> Any:
    """The JSON answer of a ``murmur`` command in the workspace of a folder."""
    where = ["--home", str(root / "home"), "--tenants", str(root / "tenants")]
    result = CliRunner().invoke(cli, [*where, *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def _ingest(root: Path, entity: str, paths: list[Path]) -> dict[str, int]:
    total: dict[str, int] = murmur(root, "ingest", "--tenant", "real", "--entity", entity, *map(str, paths))["total"]
    return total
