"""Files of every published version are read together with those of the next, by a reader of either version.

DuckDB, Polars and PyArrow run here, pandas in the readers' environment; Spark is in ``test_spark``.
"""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest

from tests.readers.engines import HERE, read_here, read_there
from tests.readers.versions import Pair, expected, lay, pair, pairs, without_empty


def options(engine: str, laid: Pair, asked: list[str], *, swapped: bool) -> dict[str, Any]:
    """Polars takes the columns of the newest day: a reader of the older version, or of restated days, names its own."""
    if engine != "polars" or laid.kind == "file":
        return {}
    if laid.newer_columns[-1] not in asked:
        return {"schema": pl.read_parquet_schema(io.BytesIO(laid.older))}
    return {"schema": pl.read_parquet_schema(io.BytesIO(laid.newer))} if swapped else {}


@pytest.mark.parametrize("swapped", [False, True], ids=["in turn", "restated"])
@pytest.mark.parametrize("engine", [*HERE, "pandas"])
@pytest.mark.parametrize(("name", "newer"), pairs(), ids=lambda value: value or "next")
def test_old_and_new_are_read_together(engine, name, newer, swapped, tmp_path, monkeypatch, request):
    laid = pair(name, newer, monkeypatch)
    root = tmp_path / "v1"
    lay(root, laid, swapped=swapped)
    for asked in ([*laid.older_columns, "date"], [*laid.newer_columns, "date"]):
        if engine == "pandas":
            rows = read_there(request.getfixturevalue("program"), engine, laid.kind, root, name, asked)
        else:
            more = options(engine, laid, asked, swapped=swapped)
            rows = read_here(engine, laid.kind, root, name, asked, **more)
        wanted = expected(laid, asked[:-1], swapped=swapped)
        if laid.kind == "file" and engine == "pandas":
            wanted = without_empty(wanted)
        assert rows == wanted
