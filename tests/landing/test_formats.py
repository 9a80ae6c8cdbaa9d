"""One record is one row, whatever it was written in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.landing import pieces, source, store
from pipelines.landing.ndjson import ndjson as parsed
from tests.landing.support import counts, event, land, ndjson, parquet, tenant, zipped

RECORDS = [
    {
        "external_id": f"00{n}",
        "event_name": 'Quoted "name", with comma\nand line',
        "occurred_at": f"2026-01-0{n}T10:00:00Z",
        "flockr_vid": "v-1",
        "value_minor": "1999",
        "products": '[{"product_id": "p", "quantity": 1.50}]',
        "attributes": '{"z": 1.50, "a": [true, null]}',
        "coupon": "café",
    }
    for n in (1, 2, 3)
]


def csv_text() -> str:
    cell = lambda text: '"' + text.replace('"', '""') + '"'  # noqa: E731
    lines = [",".join(RECORDS[0]), *(",".join(cell(value) for value in record.values()) for record in RECORDS)]
    return "\n".join(lines) + "\n"


BODIES = {
    "rows.ndjson": ndjson(RECORDS),
    "crlf.ndjson": ndjson(RECORDS).replace(b"\n", b"\r\n"),
    "bom.ndjson": b"\xef\xbb\xbf" + ndjson(RECORDS),
    "blank.ndjson": ndjson(RECORDS).replace(b"\n", b"\n\n"),
    "rows.json": json.dumps(RECORDS).encode(),
    "pretty.json": json.dumps(RECORDS, indent=2).encode(),
    "rows.csv": csv_text().encode(),
    "rows.parquet": parquet(RECORDS),
    "rows.ndjson.gz": zipped(ndjson(RECORDS)),
    "rows.json.gz": zipped(json.dumps(RECORDS).encode()),
    "rows.csv.gz": zipped(csv_text().encode()),
    "rows.parquet.gz": zipped(parquet(RECORDS)),
}


@pytest.mark.parametrize("name", BODIES)
def test_every_format_gives_equal_rows(tmp_path: Path, name: str) -> None:
    plain, other = tenant(tmp_path / "plain"), tenant(tmp_path / "other")
    land(plain, "customer_events", BODIES["rows.ndjson"])
    receipt = land(other, "customer_events", BODIES[name], name)
    assert counts(receipt) == (3, 3, 0, 0, 0)
    expected = store.scan(plain, "customer_events").drop("line_no").collect()
    assert store.scan(other, "customer_events").drop("line_no").collect().equals(expected)


def test_the_same_records_in_another_format_are_duplicates(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    land(where, "customer_events", BODIES["rows.ndjson"])
    for name in ("rows.csv", "rows.parquet", "rows.json", "rows.ndjson.gz"):
        assert counts(land(where, "customer_events", BODIES[name], name)) == (3, 0, 3, 0, 0)


def test_a_single_object_is_a_file_of_one(tmp_path: Path) -> None:
    body = json.dumps(event(), indent=2).encode()
    assert counts(land(tenant(tmp_path), "customer_events", body, "one.json")) == (1, 1, 0, 0, 0)


def test_parquet_types_are_read_as_text_of_the_same_value(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    frame = pl.DataFrame(RECORDS).with_columns(
        pl.col("value_minor").cast(pl.Int32),
        pl.col("occurred_at").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="ns", time_zone="UTC"),
        products=pl.lit([{"product_id": "p", "quantity": 1.5}]),
    )
    file = tmp_path / "typed.parquet"
    frame.write_parquet(file)
    land(where, "customer_events", file.read_bytes(), "typed.parquet")
    land(where, "customer_events", BODIES["rows.ndjson"])
    assert store.scan(where, "customer_events").collect().height == 3


@pytest.mark.parametrize("name", ["rows.ndjson", "crlf.ndjson", "blank.ndjson"])
def test_pieces_of_any_size_give_the_same_records(name: str) -> None:
    payload = source.payload_of_bytes(BODIES[name], name)

    def read(size: int) -> list[dict[str, Any]]:
        found = pieces.text_pieces(payload, size=size)
        return [row for piece in found for row in parsed(piece, list(RECORDS[0])).frame.iter_rows(named=True)]

    assert read(300) == read(1 << 20)


def test_csv_is_never_cut_inside_a_quoted_cell() -> None:
    payload = source.payload_of_bytes(BODIES["rows.csv"], "rows.csv")
    found = list(pieces.text_pieces(payload, quoted=True, size=250))
    assert len(found) > 1
    assert all(piece.data.count(b'"') % 2 == 0 for piece in found)
    assert b"".join(piece.data for piece in found) == BODIES["rows.csv"]
