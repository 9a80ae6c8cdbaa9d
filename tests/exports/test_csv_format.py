"""CSV that any reader and any spreadsheet opens safely."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.exports.csv_format import read_csv, render
from schemas.contract import Column, Contract

CONTRACT = Contract(
    name="cells",
    partitioned=False,
    primary_key=("text",),
    columns=(
        Column("text", "string"),
        Column("offer_value", "string"),
        Column("number", "int64"),
        Column("units", "quantity"),
        Column("share", "ratio"),
        Column("yes", "boolean"),
        Column("on", "date"),
        Column("at", "timestamp"),
    ),
)


def read_back(data: bytes) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "file.csv").write_bytes(data)
        return read_csv([Path(folder) / "file.csv"]).collect()


def line(**cells: object) -> str:
    frame = pl.DataFrame([{name: cells.get(name) for name in CONTRACT.names}], schema=CONTRACT.schema)
    return render(frame, CONTRACT).decode().split("\n", 1)[1].removesuffix("\n")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (None, ""),
        ("", '""'),
        ("plain", "plain"),
        ("a,b", '"a,b"'),
        ('say "hi"', '"say ""hi"""'),
        ("two\nlines", '"two\nlines"'),
        ("cr\r", '"cr\r"'),
        ("=1+1", "'=1+1"),
        ("+44 7700 900123", "'+44 7700 900123"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", '"\'\rx"'),
        ('=a,"b"', '"\'=a,""b"""'),
        ("é", "é"),
    ],
)
def test_text(text: str | None, cell: str) -> None:
    assert line(text=text) == cell + "," * 7


def test_numbers_are_never_escaped() -> None:
    assert line(offer_value="-12.5", number=-5, units=-1500, share=-0.1) == ",-12.5,-5,-1.5,-0.1,,,"
    assert line(offer_value="-1+1") == ",'-1+1" + "," * 6


@pytest.mark.parametrize(("thousandths", "text"), [(0, "0"), (1, "0.001"), (1000, "1"), (-20, "-0.02"), (2500, "2.5")])
def test_quantities_are_decimals(thousandths: int, text: str) -> None:
    assert line(units=thousandths) == f",,,{text},,,,"


def test_instants_dates_and_booleans() -> None:
    at = datetime(2026, 3, 29, 1, 2, 3, tzinfo=UTC)
    assert line(yes=True, on=date(2026, 3, 29), at=at) == ",,,,,true,2026-03-29,2026-03-29T01:02:03Z"
    assert line(yes=False, at=at.replace(microsecond=40)) == ",,,,,false,,2026-03-29T01:02:03.000040Z"
    frame = pl.DataFrame({"at": [at, at.replace(microsecond=40), None]}, schema={"at": pl.Datetime("us", "UTC")})
    beside = Contract("t", (CONTRACT["at"], CONTRACT["number"]), ("at",), partitioned=False)
    data = render(frame.with_columns(pl.lit(1, pl.Int64).alias("number")), beside)
    assert data.decode().splitlines() == [
        "at,number",
        "2026-03-29T01:02:03Z,1",
        "2026-03-29T01:02:03.000040Z,1",
        ",1",
    ]


def test_an_empty_file_has_a_header() -> None:
    assert render(CONTRACT.empty(), CONTRACT) == b"text,offer_value,number,units,share,yes,on,at\n"
    assert read_back(render(CONTRACT.empty(), CONTRACT)).shape == (0, 8)


TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00")), max_size=6)


@given(TEXTS)
def test_every_text_comes_back(texts: list[str | None]) -> None:
    frame = pl.DataFrame(
        {"text": texts, "number": list(range(len(texts)))}, schema={"text": pl.String, "number": pl.Int64}
    )
    contract = Contract("t", CONTRACT.columns[:1] + CONTRACT.columns[2:3], ("text",), partitioned=False)
    data = render(frame, contract)
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))[1:]
    safe = ["'" + text if text and text[0] in "=+-@\t\r" else text or "" for text in texts]
    assert [row[0] for row in rows] == safe
    read = read_back(data)["text"].to_list()
    assert read == [None if text is None else cell for text, cell in zip(texts, safe, strict=True)]


def test_a_strict_reader_tells_null_from_empty(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("csv") / "cells.csv"
    frame = pl.DataFrame(
        [{**dict.fromkeys(CONTRACT.names), "text": text} for text in ("", None, "x")], schema=CONTRACT.schema
    )
    path.write_bytes(render(frame, CONTRACT))
    with duckdb.connect() as connection:
        answer = connection.execute(
            "SELECT text FROM read_csv(?, header = true, all_varchar = true, allow_quoted_nulls = false)", [str(path)]
        ).fetchall()
    assert answer == [("",), (None,), ("x",)]
