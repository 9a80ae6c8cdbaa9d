"""docs/reading-exports.md, reader by reader: the module that it shows, and the program that uses it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.readers.engines import EXAMPLES, ROOT

PAGE = ROOT / "docs" / "reading-exports.md"
TITLES = {"duckdb": "DuckDB", "polars": "Polars", "pyarrow": "PyArrow", "pandas": "pandas", "spark": "Spark"}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def shown(engine: str) -> tuple[str, str]:
    """The module and the program of a reader's section."""
    section = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    [text] = [part for part in section if part.startswith(f"{TITLES[engine]}\n")]
    module, program = BLOCK.findall(text)
    return module, program


def module_of(engine: str) -> str:
    return (EXAMPLES / f"with_{engine}.py").read_text(encoding="utf-8")


def moved_to(folder: Path, program: str) -> str:
    """The program with the folders of the demo below another folder."""
    return program.replace('".murmur/', f'"{folder}/.murmur/')


def says_what_is_there(printed: str) -> bool:
    """Whether the output names the one cohort with its member, and both campaigns on both days."""
    return (
        re.search(r"lapsed_shopper\W+1\b", printed) is not None
        and printed.count("2026-03-09") == printed.count("2026-03-10") == 2
        and len(re.findall(r"\bc[12]\b", printed)) == 4
    )
