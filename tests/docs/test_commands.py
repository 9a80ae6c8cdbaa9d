"""Every command in the guides is run as written, page by page, in a fresh folder.

A line that begins with ``$ `` in a console block is a command, and so are indented lines below it; one that ends with
``# exit N`` must exit so. Other lines are what it must print, with ``...`` for anything; a command may show nothing.
Pages about the tenant ``demo`` find a small copy of what ``make demo`` leaves behind.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines import flow
from pipelines.config import Workspace
from pipelines.landing.ingest import ingest_file
from pipelines.simulator import SimulationConfig, simulate, write

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"\s+# exit (\d)$")


class Example(NamedTuple):
    """A command of a page, how it must exit and what it must print; nothing where the page does not say."""

    command: str
    code: int
    output: list[str]


def commands(page: Path) -> list[Example]:
    found = []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        joined = re.sub(r"\\?\n +", " ", block)
        for line in joined.splitlines():
            if line.startswith("$ "):
                expected = EXIT.search(line)
                found.append(Example(EXIT.sub("", line[2:]), int(expected.group(1)) if expected else 0, []))
            elif found:
                found[-1].output.append(line)
    return found


def prints(expected: list[str], printed: str) -> bool:
    """Whether a command printed what the page shows."""
    pattern = "\n".join(re.escape(line.rstrip()).replace(r"\.\.\.", ".*") for line in expected)
    told = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    return re.fullmatch(pattern, told, re.DOTALL) is not None


def environment(folder: Path) -> dict[str, str]:
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MURMUR_", "DAGSTER_"))}
    return {**kept, "PATH": os.pathsep.join(paths), "HOME": str(folder), "MURMUR_DEVELOPMENT": "1", "COLUMNS": "160"}


def test_the_guides_have_commands():
    assert sum(len(commands(page)) for page in PAGES) >= 10


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tenant ``demo``, two days of it computed."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "tenants", folder / "tenants")
    tenant = Workspace(folder / ".murmur", folder / "tenants").tenant("demo")
    config = SimulationConfig(tenant.zone, date(2025, 3, 1), date(2025, 3, 2), visitors=100, history_days=0)
    for entity, files in write(simulate(config), folder / "sample").items():
        for file in files:
            ingest_file(tenant, entity, file, received_at=datetime(2025, 3, 3, tzinfo=UTC))
    flow.run(tenant)
    return folder


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_of_a_page_run(page, tmp_path, request):
    if "--tenant demo" in page.read_text(encoding="utf-8"):
        shutil.copytree(request.getfixturevalue("demo"), tmp_path, dirs_exist_ok=True)
    if "docs/examples/webhooks" in page.read_text(encoding="utf-8"):
        shutil.copytree(ROOT / "docs" / "examples" / "webhooks", tmp_path / "docs" / "examples" / "webhooks")
    port = free_port()
    for written, expected, output in commands(page):
        command = written.replace("8787", port)
        done = shell(command, tmp_path)
        assert done.returncode == expected, f"{page.name}: {command}\n{done.stdout[-800:]}\n{done.stderr[-1500:]}"
        assert "Traceback" not in done.stderr, f"{page.name}: {command}\n{done.stderr[-1500:]}"
        if output:
            assert prints(output, done.stdout + done.stderr), f"{page.name}: {command}\n{done.stdout}{done.stderr}"
