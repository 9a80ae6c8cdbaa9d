"""Order and uniqueness of rows whose key may have nulls."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.storage.conform import ContractError, conform
from schemas.contract import Column, Contract

TABLE = Contract(
    "t", (Column("a", "string"), Column("b", "int64"), Column("c", "int64")), ("a", "b"), partitioned=False
)
ROWS = st.lists(st.tuples(st.sampled_from(["x", "y", None]), st.sampled_from([1, 2, None]), st.just(0)), max_size=6)


@given(ROWS, st.booleans())
def test_rows_are_in_the_order_of_the_key_with_nulls_last_and_no_key_repeats(rows, presorted):
    if presorted:
        rows = sorted(rows, key=lambda row: (row[0] is None, row[0] or "", row[1] is None, row[1] or 0))
    frame = pl.DataFrame(rows, schema=TABLE.schema, orient="row")
    if len(set(rows)) < len(rows):
        with pytest.raises(ContractError, match="repeat the primary key"):
            conform(frame, TABLE, None)
    else:
        assert conform(frame, TABLE, None).equals(frame.sort("a", "b", nulls_last=True))
