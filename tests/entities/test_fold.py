"""Folding versions: against an oracle that goes row by row, and in any order."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipelines.entities.fold import latest, newest, states
from pipelines.entities.history import history
from pipelines.landing.canonical import version_hash
from schemas.entities import ENTITIES
from schemas.entities.envelope import OP_RANK
from tests.entities.landing_files import at, record, versions

OUTLETS = ENTITIES["outlets"]
FIELDS = ("name", "timezone", "currency")


@st.composite
def outlet_version(draw: st.DrawFn) -> dict[str, Any]:
    op = draw(st.sampled_from(["upsert", "patch", "delete"]))
    values = {name: draw(st.sampled_from([None, "a", "b"])) for name in FIELDS}
    if op == "patch":
        values = {name: value for name, value in values.items() if draw(st.booleans())}
    if op == "delete":
        values = {}
    when = at(f"2026-01-0{draw(st.integers(1, 3))}")
    return record(op=op, external_id=draw(st.sampled_from(["o1", "o2"])), updated_at=when, **values)


def oracle(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Latest record of each id, folded one version at a time."""
    rows = frame.with_columns(version_hash(OUTLETS.stored).alias("hash")).to_dicts()
    rows.sort(key=lambda r: (r["order_at"], OP_RANK[r["op"]], r["hash"], r["patch_fields"] or ""))
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        values = {name: row[name] for name in (*FIELDS, "updated_at")}
        if row["op"] == "delete":
            found.pop(row["external_id"], None)
        elif row["op"] == "upsert":
            found[row["external_id"]] = values
        else:
            state = found.setdefault(row["external_id"], dict.fromkeys(values))
            state.update({name: values[name] for name in json.loads(row["patch_fields"])})
    return found


def as_dict(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["external_id"]: {n: row[n] for n in (*FIELDS, "updated_at")} for row in frame.to_dicts()}


@given(st.lists(outlet_version(), max_size=12))
def test_latest_equals_the_oracle(records: list[dict[str, Any]]) -> None:
    frame = versions(OUTLETS, records)
    assert as_dict(latest(frame, OUTLETS)) == oracle(frame)
    assert as_dict(newest(states(frame, OUTLETS))) == oracle(frame)


@given(st.lists(outlet_version(), max_size=10), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(records: list[dict[str, Any]], random: Any) -> None:
    again = records + records[: len(records) // 2]
    random.shuffle(again)
    for result in (latest, history):
        expected, got = (result(versions(OUTLETS, rows), OUTLETS) for rows in (records, again))
        keys = [name for name in ("external_id", "effective_from", "version_hash") if name in expected.columns]
        assert_frame_equal(got.sort(keys), expected.sort(keys))


DAY = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]


def fold_one(*records: dict[str, Any]) -> dict[str, Any] | None:
    rows = latest(versions(OUTLETS, [{"external_id": "o1", **r} for r in records]), OUTLETS).to_dicts()
    return rows[0] if rows else None


def test_a_patch_sets_only_what_it_names_and_null_clears() -> None:
    row = fold_one(
        record(name="North", currency="GBP", timezone="UTC", updated_at=at(DAY[0])),
        record(op="patch", currency=None, updated_at=at(DAY[1])),
        record(op="patch", name="South", updated_at=at(DAY[2])),
    )
    assert row is not None
    assert (row["name"], row["currency"], row["timezone"], row["updated_at"]) == ("South", None, "UTC", at(DAY[2]))


def test_an_upsert_replaces_the_whole_record() -> None:
    row = fold_one(
        record(name="North", currency="GBP", updated_at=at(DAY[0])), record(name="South", updated_at=at(DAY[1]))
    )
    assert row is not None and row["currency"] is None


def test_a_delete_removes_and_a_later_patch_starts_from_nothing() -> None:
    first = record(name="North", currency="GBP", updated_at=at(DAY[0]))
    gone = record(op="delete", updated_at=at(DAY[1]))
    assert fold_one(first, gone) is None
    row = fold_one(first, gone, record(op="patch", name="South", updated_at=at(DAY[2])))
    assert row is not None and (row["name"], row["currency"]) == ("South", None)


def test_an_older_version_that_arrives_late_does_not_win() -> None:
    newer, older = record(name="new", updated_at=at(DAY[1])), record(name="old", updated_at=at(DAY[0]))
    row = fold_one(newer, older)
    assert row is not None and row["name"] == "new"


@pytest.mark.parametrize("ops", [("upsert", "delete"), ("delete", "upsert"), ("patch", "delete")])
def test_at_one_instant_delete_wins(ops: tuple[str, str]) -> None:
    assert fold_one(*(record(op=op, name="n", updated_at=at(DAY[0])) for op in ops)) is None


def test_a_single_delete_leaves_nothing_and_a_single_patch_is_a_record() -> None:
    assert fold_one(record(op="delete", updated_at=at(DAY[0]))) is None
    row = fold_one(record(op="patch", name="n", updated_at=at(DAY[0])))
    assert row is not None and row["name"] == "n"
