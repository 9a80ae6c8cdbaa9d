"""The scanner finds its marks however they are wrapped; a scanner that finds nothing would prove nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sqlite3
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import pytest

from tests.marked import PEOPLE, findings, marks_in

ONE = PEOPLE[0]
WRAPPED = {
    "as it is": ONE.email.encode(),
    "upper case": ONE.email.upper().encode(),
    "in a URL": quote(ONE.email, safe="").encode(),
    "escaped": "".join(f"\\u{ord(c):04x}" for c in ONE.email).encode(),
    "UTF-16": ONE.email.encode("utf-16"),
    "hex": ONE.email.encode().hex().encode(),
    "hashed without a key": hashlib.sha256(ONE.email.encode()).hexdigest().encode(),
    "phone": ONE.phone.encode(),
    "phone in a URL": quote(ONE.phone).encode(),
    "digits": b"tel:447700900700,",
    "other groups": b"(0770) 090-0700",
    "name": ONE.last_name.encode(),
    **{f"base64 {shift}": base64.b64encode(b"x" * shift + ONE.email.encode()) for shift in range(3)},
}


@pytest.mark.parametrize("how", WRAPPED)
def test_a_mark_is_found(how):
    assert marks_in(b'{"some": "' + WRAPPED[how] + b'"}')
    assert marks_in(b"jane@example.com +44 7700 900123 0044 5012345678900") == []


def test_a_mark_is_found_in_every_kind_of_file(tmp_path):
    frame = pl.DataFrame({"said": [ONE.email] * 9, "in": [{"a": [ONE.phone]}] * 9, "n": range(9)})
    frame.select("said").write_parquet(tmp_path / "a.parquet", compression="zstd")
    frame.select("in").write_parquet(tmp_path / "b.parquet", compression="snappy")
    frame.write_ipc(tmp_path / "c.arrow", compression="zstd")
    (tmp_path / "d.gz").write_bytes(gzip.compress(json.dumps(ONE.record).encode()))
    (tmp_path / "e.zst").write_bytes(pa.Codec("zstd").compress(ONE.email.encode() * 9, asbytes=True))
    (tmp_path / "f.txt").write_text(ONE.last_name)
    (tmp_path / f"{ONE.email}.txt").write_text("")
    frame.select("n").rename({"n": ONE.email}).write_parquet(tmp_path / "g.parquet")
    with sqlite3.connect(tmp_path / "h.db") as connection:
        connection.execute("create table t (a text)")
        connection.execute("insert into t values (?)", (ONE.phone,))
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "x").write_text(ONE.email)
    (tmp_path / "clean").write_text("nothing")
    named = {finding.split(" ")[0] for finding in findings(tmp_path)}
    expected = {"a.parquet", "b.parquet", "c.arrow", "d.gz", "e.zst", "f.txt", "g.parquet", "h.db", f"{ONE.email}.txt"}
    assert named == expected
