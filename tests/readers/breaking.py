"""Changes that a contract does not allow, made on a small one, and what a reader of the old columns finds then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl

from pipelines.exports.csv_format import render
from schemas import readers
from schemas.contract import Column, Contract
from schemas.readers import Change, breaks

OLD = Contract(
    "t",
    (Column("id", "string", True), Column("n", "int64"), Column("s", "string"), Column("at", "timestamp")),
    primary_key=("id",),
    partitioned=False,
)
ROW = {"id": "a", "n": 1, "s": "x", "at": datetime(2026, 3, 9, tzinfo=UTC)}
DAYS = (date(2026, 3, 9), date(2026, 3, 10))

#: Reads ``kind``, ``root``, ``name`` and columns.
Read = Callable[[str, Path, str, list[str]], list[dict[str, Any]]]
Form = Literal["parquet", "csv"]


class Step(NamedTuple):
    """A change: the contract after it, values of the new day, and the column that it is about."""

    after: Contract
    values: dict[str, Any]
    column: str


def _columns(*columns: Column) -> Contract:
    return replace(OLD, columns=columns)


STEPS: dict[Change, Step] = {
    "removed": Step(_columns(OLD["id"], OLD["s"], OLD["at"]), {}, "n"),
    "renamed": Step(_columns(OLD["id"], Column("m", "int64"), OLD["s"], OLD["at"]), {"m": 2}, "n"),
    "retyped": Step(_columns(OLD["id"], Column("n", "string"), OLD["s"], OLD["at"]), {"n": "two"}, "n"),
    "reordered": Step(_columns(OLD["id"], OLD["s"], OLD["n"], OLD["at"]), {}, "n"),
    "inserted": Step(_columns(OLD["id"], Column("z", "string"), *OLD.columns[1:]), {"z": "zz"}, "z"),
}


def write(root: Path, form: Form, contract: Contract, values: dict[str, Any], day: date) -> None:
    row = {**ROW, **values}
    frame = pl.DataFrame([{name: row[name] for name in contract.names}], schema=contract.schema)
    folder = root / "t" / f"date={day}" if form == "parquet" else root / f"date={day}"
    folder.mkdir(parents=True)
    if form == "parquet":
        frame.write_parquet(folder / "part-00000.snappy.parquet")
    else:
        (folder / "t.csv").write_bytes(render(frame, contract))


def watch(root: Path, form: Form, change: Change, engine: str, read: Read) -> None:
    """Make the change, read the old columns, and hold the reader to what is said of it."""
    step = STEPS[change]
    kind = "dataset" if form == "parquet" else "file"
    asked = [*OLD.names, "date"]
    write(root / "both", form, OLD, {}, DAYS[0])
    write(root / "both", form, step.after, step.values, DAYS[1])
    write(root / "newer", form, step.after, step.values, DAYS[1])
    both, newer = (_rows(read, kind, root / which, asked) for which in ("both", "newer"))
    said = breaks(form, change).get(engine)
    untouched = [{**cells, "date": f"day {day}"} for day in DAYS for cells in [_plain(form)]]
    if said is None:
        assert both == untouched
    elif said in (readers.FAILS_LACKING, readers.FAILS_MIXED):
        assert both is None
        assert (newer is None) == (said == readers.FAILS_LACKING)
    elif said == readers.NULL:
        assert both == [untouched[0], {**untouched[1], step.column: None}]
        assert newer is None
    else:
        assert both is not None
        assert _meets(said, both, step, untouched)


def _meets(said: str, both: list[dict[str, Any]], step: Step, untouched: list[dict[str, Any]]) -> bool:
    first, second = both
    if said == readers.CAST:
        return [first["n"], second["n"]] == ["1", "two"]
    if said == readers.CAST_FAILS:
        return second["n"] == "two"
    if said == readers.MEANING:
        return second[step.column] == str(next(iter(step.values.values())))
    assert said == readers.SHIFTED
    wrong = next(row for row, right in zip(both, untouched, strict=True) if row != right)
    return wrong["n"] in ("x", "zz") or wrong["s"] == "1"


def _rows(read: Read, kind: str, root: Path, asked: list[str]) -> list[dict[str, Any]] | None:
    """Rows by day; None when the reader fails."""
    with suppress(Exception):
        return sorted(read(kind, root, "t", asked), key=lambda row: str(row["date"]))
    return None


def _plain(form: Form) -> dict[str, Any]:
    return (
        {**ROW, "at": "at 2026-03-09T00:00:00"}
        if form == "parquet"
        else {**ROW, "n": "1", "at": "2026-03-09T00:00:00Z"}
    )
