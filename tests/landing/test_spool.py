"""Rows that waited in pieces come out as if there had been one piece."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.landing.layout import SORTED_BY
from pipelines.landing.spool import Spool

INSTANT = pl.Datetime("us", "UTC")
SCHEMA = pl.Schema(
    {
        "line_no": pl.Int64,
        "order_at": INSTANT,
        "date": pl.Date,
        "id_key": pl.Int64,
        "repeat": pl.Boolean,
        "name": pl.String,
        "amount": pl.Int64,
        "flag": pl.Boolean,
        "seen_at": INSTANT,
    }
)
ROWS = st.fixed_dictionaries(
    {
        "order_at": st.datetimes(timezones=st.just(UTC)),
        "date": st.sampled_from([None, date(2026, 1, 1), date(2026, 1, 2)]),
        "id_key": st.integers(-(1 << 63), (1 << 63) - 1),
        "repeat": st.just(False),
        "name": st.sampled_from([None, "", "a"]),
        "amount": st.sampled_from([None, 0, 7]),
        "flag": st.sampled_from([None, False, True]),
        "seen_at": st.sampled_from(
            [None, datetime.min.replace(tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)]
        ),
    }
)


@given(
    st.lists(st.lists(ROWS, min_size=1, max_size=3), min_size=1, max_size=4),
    st.sets(st.integers(1, 12)),
    st.sampled_from([1, 3, 100]),
    st.sampled_from([0, 200, 1 << 20]),
)
def test_pieces_come_out_whole_and_in_order(
    pieces: list[list[dict[str, object]]], marked: set[int], most_rows: int, held: int
) -> None:
    line = 0
    with (
        TemporaryDirectory() as folder,
        patch("pipelines.landing.spool.MOST_ROWS", most_rows),
        patch("pipelines.landing.spool.HELD_BYTES", held),
    ):
        spool = Spool(Path(folder) / "work", SCHEMA)
        frames = []
        for rows in pieces:
            numbered = [{"line_no": line + i, **row} for i, row in enumerate(rows, start=1)]
            line += len(rows)
            frames.append(pl.DataFrame(numbered, schema=SCHEMA))
            spool.add(frames[-1])
        whole = pl.concat(frames)
        assert spool.keys.sort().equals(whole["id_key"].sort())
        assert pl.concat(spool.pieces()).sort("line_no").equals(whole)
        some = whole[::2].select("id_key").unique()
        found = pl.concat(spool.having(some)).sort("line_no")
        assert found.equals(whole.join(some, on="id_key", how="semi").sort("line_no"))
        dropped, repeated = (pl.Series([n for n in marked if n % 2 == odd], dtype=pl.Int64) for odd in (0, 1))
        spool.write(Path(folder) / "f.parquet", dropped, repeated)
        expected = whole.filter(~pl.col("line_no").is_in(dropped.implode())).with_columns(
            pl.col("line_no").is_in(repeated.implode()).alias("repeat")
        )
        written = pl.read_parquet(Path(folder) / "f.parquet", schema=SCHEMA, missing_columns="insert")
        assert written.equals(expected.sort(SORTED_BY))


@pytest.mark.parametrize("held", [0, 1 << 20])
@pytest.mark.parametrize("count", [1, 3])
def test_columns_that_no_row_fills_are_left_out(tmp_path: Path, count: int, held: int) -> None:
    row = {"line_no": 1, "order_at": datetime(2026, 1, 1, tzinfo=UTC), "date": None, "id_key": 1, "repeat": False}
    with patch("pipelines.landing.spool.HELD_BYTES", held):
        spool = Spool(tmp_path / "work", SCHEMA)
        for line in range(count):
            last = {"amount": 7} if line == count - 1 else {}
            spool.add(pl.DataFrame([{**row, "line_no": line, **last}], schema=SCHEMA))
        assert any(tmp_path.glob("work/*")) == (held == 0 and count > 1)
        spool.write(tmp_path / "f.parquet", pl.Series([], dtype=pl.Int64), pl.Series([], dtype=pl.Int64))
    columns = ["line_no", "order_at", "date", "id_key", "repeat", "amount"]
    assert pl.read_parquet_schema(tmp_path / "f.parquet").names() == columns
