"""What bytes alone decide: compression, line ends, lengths, quotes, and Parquet that nobody should trust."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import MurmurError, UsageError
from pipelines.landing import compression, csv_rows, json_array, pieces, source, store, untrusted
from pipelines.landing import ndjson as ndjson_lines
from pipelines.landing.ingest import ingest_file
from pipelines.landing.source import payload_of_bytes
from tests.landing.support import NOW, counts, event, land, ndjson, parquet, reasons, rows, tenant, zipped

TWO = ndjson([event(), event(external_id="e-2")])
HEAD = "external_id,event_name,occurred_at,flockr_vid\n"
ROW = "{},View,2026-01-02T10:00:00Z,v\n"


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.ndjson.zst", zstd(TWO)),
        ("a.json.zst", zstd(json.dumps([event(), event(external_id="e-2")]).encode())),
        ("a.csv.zst", zstd((HEAD + ROW.format("a") + ROW.format("b")).encode())),
        ("a.parquet.zst", zstd(parquet([event(), event(external_id="e-2")]))),
        ("members.ndjson.gz", zipped(TWO[:50]) + zipped(TWO[50:])),
        ("frames.ndjson.zst", zstd(TWO[:50]) + zstd(TWO[50:])),
        ("bom.csv", b"\xef\xbb\xbf" + (HEAD + ROW.format("a") + ROW.format("b")).encode()),
        ("bom.json", b"\xef\xbb\xbf" + json.dumps([event(), event(external_id="e-2")]).encode()),
        (
            "cr.json",
            b"[\r" + json.dumps(event()).encode() + b",\r" + json.dumps(event(external_id="e-2")).encode() + b"]\r",
        ),
        ("crlf.csv", (HEAD + ROW.format("a") + ROW.format("b")).replace("\n", "\r\n").encode()),
        ("no-end.csv", (HEAD + ROW.format("a") + ROW.format("b")).rstrip("\n").encode()),
        ("UPPER.NDJSON.ZST", zstd(TWO)),
    ],
)
def test_every_way_of_writing_two_records(tmp_path: Path, name: str, data: bytes) -> None:
    assert counts(land(tenant(tmp_path), "customer_events", data, name)) == (2, 2, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.ndjson.zst", zstd(TWO)[:-5], "broken_zstd"),
        ("a.ndjson.zst", b"no zstd at all", "broken_zstd"),
        ("a.ndjson.zst", zstd(TWO) + b"tail", "broken_zstd"),
        ("a.ndjson.gz", zipped(TWO) + b"tail", "broken_gzip"),
        ("a.json.gz", zipped(b"[" + TWO)[:-9], "broken_gzip"),
        ("a.parquet.zst", zstd(parquet([event()]))[:-5], "broken_zstd"),
        ("a.csv.gz", b"", "empty_file"),
        ("a.ndjson.zst", b"", "empty_file"),
        ("a.json", b" \r\n ", "empty_file"),
        ("a.json", json.dumps([event()]).encode("utf-16"), "not_utf8:utf-16"),
        ("a.json", b'[{"external_id": "caf\xe9"}]', "not_utf8"),
        ("a.csv", b"\n\n", "empty_file"),
        ("a.csv", ROW.format("a").encode(), "no_known_column_in_header"),
        ("a.csv", HEAD.replace(",", ";").encode(), "no_known_column_in_header"),
        ("a.csv", b"external_id,,\na,b,c\n", "header_without_names"),
        ("a.csv", (HEAD + ROW.format("a")).replace("\n", "\r").encode(), "cr_line_ends"),
        ("a.parquet", b"", "damaged_parquet"),
        ("a.parquet", parquet([event()])[:4] + b"\xff" * 60 + parquet([event()])[64:], "damaged_parquet"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    receipt = land(tenant(tmp_path), "customer_events", data, name)
    assert (receipt.file_reason, counts(receipt)) == (reason, (1, 0, 0, 0, 1))


@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.json.gz", "a.csv.gz", "a.parquet.gz", "a.ndjson.zst"])
def test_a_bomb_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 1 << 20)
    body = (b"[" if "json." in name and "nd" not in name else HEAD.encode()) + b"\n" * (4 << 20)
    data = gzip.compress(body) if name.endswith("gz") else zstd(body)
    assert land(tenant(tmp_path), "customer_events", data, name).file_reason == "expands_too_far"


def test_an_overlong_line_is_one_refused_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pieces, ndjson_lines):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 2000)
    for size in (1 << 20, 3000):
        monkeypatch.setattr(pieces, "PIECE_BYTES", size)
        where = tenant(tmp_path / str(size))
        good = ndjson([event(external_id="g-1")]), ndjson([event(external_id="g-2")])
        long = ndjson([event(external_id="long", query="x" * 9000)])
        receipt = land(where, "customer_events", good[0] + long + good[1])
        assert reasons(where, "customer_events") == {2: "line_too_long"}
        assert counts(receipt) == (3, 2, 0, 0, 1)
        assert [row["line_no"] for row in rows(where, "customer_events")] == [1, 3]


@pytest.mark.parametrize("cells", ["x" * 9000, '"' + "x\n" * 4500 + '"'])
def test_an_overlong_csv_record_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: str) -> None:
    for module in (pieces, csv_rows):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 2000)
    where = tenant(tmp_path)
    body = HEAD + ROW.format("a") + f"{cells},View,2026-01-02T10:00:00Z,v\n" + ROW.format("b")
    receipt = land(where, "customer_events", body.encode(), "a.csv")
    assert reasons(where, "customer_events") == {3: "line_too_long"}
    assert counts(receipt) == (3, 2, 0, 0, 1)


def test_what_is_broken_in_an_array_refuses_its_element_only(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    one, two = (json.dumps(event(external_id=key), indent=1) for key in ("a", "b"))
    deep = "[" * 100_000 + "]" * 100_000
    body = f'[{one}, {{"external_id": tru}}, word, 7, "text", {deep}, {{"a": "\x00"}}, {two}] more'
    receipt = land(where, "customer_events", body.encode(), "a.json")
    assert [row["external_id"] for row in rows(where, "customer_events")] == ["a", "b"]
    found = reasons(where, "customer_events")
    assert found == {n: "malformed_json" for n in (2, 3, 4, 5, 6)} | {7: "nul_byte", 9: "text_after_array"}
    assert counts(receipt) == (9, 2, 0, 0, 7)


def test_an_array_is_read_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "READ_BYTES", 64)
    monkeypatch.setattr(json_array, "_FIRST_BYTES", 10)
    where = tenant(tmp_path)
    body = json.dumps([event(external_id=f"é{n}") for n in range(50)], ensure_ascii=False).encode()
    assert counts(land(where, "customer_events", body, "a.json")) == (50, 50, 0, 0, 0)
    assert sorted(row["line_no"] for row in rows(where, "customer_events")) == list(range(1, 51))


def test_an_element_without_end_is_refused_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "READ_BYTES", 1000)
    monkeypatch.setattr(json_array, "MAX_LINE_BYTES", 5000)
    monkeypatch.setattr(json_array, "_FIRST_BYTES", 10)
    where = tenant(tmp_path)
    body = b"[" + json.dumps(event()).encode() + b', {"external_id": "' + b"x" * 50_000
    land(where, "customer_events", body, "a.json")
    assert reasons(where, "customer_events") == {2: "line_too_long"}
    assert len(rows(where, "customer_events")) == 1


def test_bad_csv_records_stand_beside_good_ones_at_the_lines_of_the_file(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    lines = [
        ROW.format("a").encode(),
        b'"q\nr",View,2026-01-02T10:00:00Z,v\n',
        b"\n",
        "café,View,2026-01-02T10:00:00Z,v\n".encode("latin-1"),
        b"n\x00,View,2026-01-02T10:00:00Z,v\n",
        b'"x"y,View,2026-01-02T10:00:00Z,v\n',
        b"only one\n",
        b'5" pipe,View,2026-01-02T10:00:00Z,v\n',
        ROW.format("z").encode().rstrip(b"\n") + b"\r\n",
    ]
    receipt = land(where, "customer_events", HEAD.encode() + b"".join(lines), "a.csv")
    assert reasons(where, "customer_events") == {
        3: "invalid_id:external_id",
        6: "invalid_utf8",
        7: "nul_byte",
        8: "malformed_csv",
        9: "wrong_column_count",
    }
    assert [(r["external_id"], r["line_no"]) for r in rows(where, "customer_events")] == [
        ('5" pipe', 10),
        ("a", 2),
        ("z", 11),
    ]
    assert counts(receipt) == (8, 3, 0, 0, 5)


def test_a_quote_that_nobody_closes_swallows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 400)
    where = tenant(tmp_path)
    body = HEAD + '"open,View,2026-01-02T10:00:00Z,v\n' + "".join(ROW.format(f"e-{n}") for n in range(100))
    receipt = land(where, "customer_events", body.encode(), "a.csv")
    assert reasons(where, "customer_events") == {2: "malformed_csv"}
    assert counts(receipt) == (101, 100, 0, 0, 1)


def test_parquet_of_any_type_is_read(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    table = pa.table(
        {
            "external_id": pa.array([b"a", b"\xff\xfe"], pa.binary()),
            "event_name": pa.array(["x", "x"]).dictionary_encode(),
            "occurred_at": pa.array([1767348000 * 10**9 + 1] * 2, pa.timestamp("ns", "UTC")),
            "flockr_vid": pa.array(["v", "v"]),
            "value_minor": pa.array([5, 6], pa.uint64()),
            "attributes": pa.array([[("k", 1)], [("k", 2)]], pa.map_(pa.string(), pa.int64())),
            "products": pa.array([[{"product_id": "p"}], []], pa.list_(pa.struct([("product_id", pa.string())]))),
            "query": pa.array([None, None], pa.time64("us")),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    receipt = land(where, "customer_events", sink.getvalue(), "a.parquet")
    assert reasons(where, "customer_events") == {2: "invalid_utf8"}
    (row,) = rows(where, "customer_events")
    assert (row["external_id"], row["value_minor"], row["attributes"]) == ("a", 5, '{"k":1}')
    assert receipt.received == 2


def test_parquet_that_needs_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "MEMORY_BYTES", 500 << 20)
    sink = io.BytesIO()
    pq.write_table(pa.table({"external_id": ["x" * (300 << 20)]}), sink)
    receipt = land(tenant(tmp_path), "customer_events", sink.getvalue(), "a.parquet")
    assert receipt.file_reason in ("parquet_too_large", "damaged_parquet")


def test_parquet_with_large_cells_is_read_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted, "MEMORY_BYTES", 600 << 20)
    # Each cell is in the file once, so that its metadata promises little.
    cells = [str(n % 4) * 250_000 for n in range(1_000)]
    sink = io.BytesIO()
    pq.write_table(pa.table({"external_id": [str(n) for n in range(1_000)], "query": cells}), sink)
    assert len(sink.getvalue()) < 1 << 20
    payload = payload_of_bytes(sink.getvalue(), "a.parquet")
    frames = [
        frame.with_columns(pl.col("query").str.slice(0, 1))
        for frame, _ in untrusted._frames(payload, ["external_id", "query"])
    ]
    whole = pl.concat(frames)
    assert len(frames) > 1
    assert whole["external_id"].to_list() == [str(n) for n in range(1_000)]
    assert whole["query"].to_list() == [str(n % 4) for n in range(1_000)]


def test_a_header_that_ends_with_cr_alone_is_refused(tmp_path: Path) -> None:
    where = tenant(tmp_path)
    receipt = land(where, "customers", b"external_id,updated_at\r", "a.csv")
    assert (receipt.received, receipt.quarantined, receipt.file_reason) == (1, 1, "cr_line_ends")
    for number, empty in enumerate(
        (b"external_id,updated_at\n", b"external_id,updated_at\r\n", b"external_id,updated_at")
    ):
        assert counts(land(where, "customers", empty, f"{number}.csv")) == (0, 0, 0, 0, 0)


def test_parquet_that_takes_too_long_or_tells_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = parquet([event(external_id=f"e-{n}") for n in range(2000)])
    with monkeypatch.context() as patch:
        patch.setattr(untrusted, "WALL_SECONDS", 0.01)
        assert land(tenant(tmp_path / "a"), "customer_events", data, "a.parquet").file_reason == "parquet_too_large"
    monkeypatch.setattr(untrusted, "FREE_BYTES", 1000)
    monkeypatch.setattr(untrusted, "MAX_RATIO", 1)
    assert land(tenant(tmp_path / "b"), "customer_events", data, "a.parquet").file_reason == "expands_too_far"


def test_pipes_links_and_files_that_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tenant(tmp_path / "home")
    pipe, link, gone, file = (tmp_path / f"{name}.ndjson" for name in ("pipe", "link", "gone", "file"))
    os.mkfifo(pipe)
    file.write_bytes(TWO)
    link.symlink_to(file)
    gone.symlink_to(tmp_path / "nowhere.ndjson")
    with pytest.raises(UsageError, match="is not a regular file"):
        ingest_file(where, "customer_events", pipe, received_at=NOW)
    with pytest.raises(UsageError, match="there is no such file"):
        ingest_file(where, "customer_events", gone, received_at=NOW)
    read = source.Payload.blocks

    def growing(payload: source.Payload) -> Any:
        yield from read(payload)
        with file.open("ab") as more:
            more.write(ndjson([event(external_id="e-3")]))

    with monkeypatch.context() as patch:
        patch.setattr(source.Payload, "blocks", growing)
        with pytest.raises(MurmurError, match="changed while it was read"):
            ingest_file(where, "customer_events", file, received_at=NOW)
    assert store.receipts(where, "customer_events") == []
    assert ingest_file(where, "customer_events", link, received_at=NOW).accepted == 3
    assert isinstance(store.scan(where, "customer_events"), pl.LazyFrame)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("inside", ["\n", "\r\n", "\r", "\r\n\r\n"])
def test_a_quoted_cell_may_hold_any_line_end(tmp_path: Path, ends: str, inside: str) -> None:
    where = tenant(tmp_path)
    first = f'c-1,2026-01-02T10:00:00Z,"{{""note"":""x""}}","[""a"",{inside}""b""]"'
    lines = ["external_id,updated_at,attributes,tags", first, "c-2,2026-01-02T10:00:00Z,,", "c-3,2026-01-02T10:00:00Z"]
    receipt = land(where, "customers", ends.join([*lines, ""]).encode(), "rows.csv")
    assert (receipt.accepted, receipt.quarantined) == (2, 1)
    assert [row["tags"] for row in rows(where, "customers")] == ['["a","b"]', None]
