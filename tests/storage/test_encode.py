"""Files written from codes hold the same rows as plain ones, whatever the list of texts, and are checked alike."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from pipelines.storage.conform import ContractError, conform
from pipelines.storage.encode import coded, write
from schemas.contract import Column, Contract

DAY = date(2026, 1, 1)
CONTRACT = Contract(
    name="t",
    primary_key=("date", "name"),
    columns=(
        Column("date", "date", required=True),
        Column("name", "string", required=True),
        Column("kind", "string", enum=("a", "b")),
        Column("value", "ratio"),
    ),
)


def frame(codes, kinds, texts=("m", "n", "o", "z"), words=("a", "b")):
    return pl.DataFrame(
        {
            "name": coded(np.array(codes), pl.Series(texts)),
            "kind": coded(np.array(kinds), pl.Series(words)),
            "value": [None, 0.5, *([1.5] * (len(codes) - 2))],
        }
    )


def test_rows_are_those_of_a_plain_file(tmp_path):
    rows = frame([0, 1, 3], [1, -1, 0])
    write(rows, tmp_path / "coded", ("name",))
    plain = rows.cast({pl.Enum: pl.String})
    read = pl.scan_parquet(tmp_path / "coded", schema=plain.schema).collect()
    assert read.equals(plain) and read.schema == plain.schema
    assert pl.read_parquet(tmp_path / "coded").schema == plain.schema, "no reader is told of codes"


def test_texts_that_no_row_uses_change_no_byte(tmp_path):
    write(frame([0, 1, 3], [1, -1, 0]), tmp_path / "one", ("name",))
    write(frame([1, 3, 4], [1, -1, 0], ("l", "m", "mm", "n", "z")), tmp_path / "two", ("name",))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_no_text_at_all_is_a_column_of_nulls():
    assert coded(np.array([-1, -1]), pl.Series(["x"])).to_list() == [None, None]


def test_checks_are_those_of_texts():
    sorted_rows = conform(frame([3, 0, 1], [1, 0, 0]), CONTRACT, DAY)
    assert sorted_rows["name"].cast(pl.String).to_list() == ["m", "n", "z"]
    for wrong in (
        frame([0, 0, 1], [1, 0, 0]),
        frame([0, -1, 1], [1, 0, 0]),
        frame([0, 1, 2], [1, 0, 2], words=("a", "b", "c")),
        frame([0, 1, 2], [1, 0, 0], texts=("n", "m", "o")),
    ):
        with pytest.raises(ContractError):
            conform(wrong, CONTRACT, DAY)
