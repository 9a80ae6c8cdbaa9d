"""Every command in the guides is run as written, page by page, in a fresh folder.

A line that begins with ``$ `` in a console block is a command; one that ends with ``# exit N`` must exit so.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXIT = re.compile(r"\s+# exit (\d)$")


def commands(page: Path) -> list[tuple[str, int]]:
    found = []
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        joined = block.replace("\\\n", " ")
        for line in joined.splitlines():
            if line.startswith("$ "):
                expected = EXIT.search(line)
                found.append((EXIT.sub("", line[2:]), int(expected.group(1)) if expected else 0))
    return found


def environment(folder: Path) -> dict[str, str]:
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MURMUR_", "DAGSTER_"))}
    return {**kept, "PATH": os.pathsep.join(paths), "HOME": str(folder), "MURMUR_DEVELOPMENT": "1", "COLUMNS": "160"}


def test_the_guides_have_commands():
    assert sum(len(commands(page)) for page in PAGES) >= 10


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_commands_of_a_page_run(page, tmp_path):
    for command, expected in commands(page):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=tmp_path,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == expected, f"{page.name}: {command}\n{done.stdout[-800:]}\n{done.stderr[-1500:]}"
        assert "Traceback" not in done.stderr, f"{page.name}: {command}\n{done.stderr[-1500:]}"
