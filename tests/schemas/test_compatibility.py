"""Contracts against the ledger: what is refused, whom it would break, and what may be published."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli import main
from schemas.compatibility import check, differences
from schemas.contract import Column, Contract
from schemas.events import EVENT_TYPES
from schemas.exports import CSV_FILES, DATASETS
from schemas.readers import BY_POSITION
from schemas.versions import LEDGER, Promise, append, encode, path_of, promises, published
from tests.readers.breaking import OLD, STEPS

A = {"name": "a", "kind": "string", "required": True}
B = {"name": "b", "kind": "int64", "required": False, "minimum": 0}
C = {"name": "c", "kind": "string", "required": False, "enum": ["x", "y"]}
FIRST = Promise("t", "csv", "1.0", ("a",), (A, B, C))
D = {"name": "d", "kind": "string", "required": False}


def after(*columns, **changes):
    return replace(FIRST, columns=columns or FIRST.columns, **{"version": "1.1", **changes})


def changes(promise, *ledger):
    return [(found.column, found.change) for found in check({"t": promise}, {"t": ledger or (FIRST,)})]


def test_every_contract_is_as_it_was_published():
    assert check(promises(), published()) == []


def test_every_dataset_file_and_event_is_in_the_ledger():
    names = [*DATASETS, *CSV_FILES, *EVENT_TYPES]
    assert sorted(names) == sorted(published()), "two of a name, or one that is not published"


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ((A, B), [("c", "removed")]),
        ((A, C), [("b", "removed")]),
        ((A, {**B, "name": "e"}, C), [("b", "renamed")]),
        ((A, {**B, "kind": "string"}, C), [("b", "retyped")]),
        ((A, {**B, "kind": "quantity"}, C), [("b", "reinterpreted")]),
        ((A, C, B), [("b", "reordered"), ("c", "reordered")]),
        ((A, D, B, C), [("d", "inserted")]),
        ((A, {**B, "required": True}, C), [("b", "required")]),
        (({**A, "required": False}, B, C), [("a", "nullable")]),
        ((A, B, C, {**D, "required": True}), [("d", "required")]),
        ((A, B, {**C, "enum": ["x"]}), [("c", "narrowed")]),
        (({**A, "enum": ["x"]}, B, C), [("a", "narrowed")]),
        ((A, {**B, "minimum": 1}, C), [("b", "narrowed")]),
    ],
)
def test_what_would_break_a_reader_is_refused(columns, found):
    findings = check({"t": after(*columns)}, {"t": (FIRST,)})
    assert [(each.column, each.change) for each in findings] == found
    assert all(each.name == "t" and each.says and each.readers for each in findings)
    # The same in a version that is still called the old one.
    assert changes(after(*columns, version="1.0")) == found


def test_a_changed_key_is_refused():
    assert changes(after(A, B, C, key=("a", "b"))) == [(None, "key")]


def test_a_contract_that_is_gone_is_refused():
    assert [found.change for found in check({}, {"t": (FIRST,)})] == ["removed"]


@pytest.mark.parametrize(
    "columns",
    [(A, B, C, D), (A, B, {**C, "enum": ["x", "y", "z"]}), (A, B, {**C, "enum": None}), (A, {**B, "minimum": -1}, C)],
)
def test_what_is_additive_needs_the_next_minor_version(columns):
    columns = [{key: value for key, value in column.items() if value is not None} for column in columns]
    assert changes(after(*columns, version="1.0")) == [(None, "unversioned")]
    assert changes(after(*columns, version="1.2")) == [(None, "version")]
    assert changes(after(*columns)) == [(None, "unpublished")]
    assert changes(after(*columns), FIRST, after(*columns)) == []


def test_the_next_major_version_is_a_contract_of_its_own():
    assert changes(after(A, version="2.0")) == [(None, "unpublished")]
    assert changes(after(A, version="2.0"), FIRST, after(A, version="2.0")) == []


def test_versions_in_the_ledger_are_held_to_the_same_rules():
    """A published version that somebody edits contradicts the one before or after."""
    second = after(A, B, C, D)
    edited = replace(FIRST, columns=(A, C))
    assert ("c", "reordered") not in changes(second, FIRST, second)
    assert changes(second, edited, second) == [("b", "inserted")]


def test_order_and_new_duties_are_nothing_to_receivers_of_events():
    event = replace(FIRST, form="event", key=())
    then = replace(event, version="1.1", columns=(C, A, B, {**D, "required": True}))
    assert list(differences(event, then)) == []
    assert [found.change for found in differences(event, replace(event, columns=(A, C)))] == ["removed"]
    assert [found.change for found in differences(event, replace(event, columns=(A, {**B, "kind": "string"}, C)))] == [
        "retyped"
    ]


@pytest.mark.parametrize("change", STEPS)
def test_changes_that_readers_are_tried_on_are_found(change):
    def promised(contract: Contract) -> Promise:
        columns = tuple({"name": each.name, "kind": each.kind, "required": each.required} for each in contract)
        return Promise("t", "csv", "1.0", contract.primary_key, columns)

    found = list(differences(promised(OLD), promised(STEPS[change].after)))
    assert {each.change for each in found} == {change}
    assert STEPS[change].column in {each.column for each in found}


@given(st.permutations([*range(6)]), st.integers(0, 6))
def test_only_columns_at_the_right_end_are_additive(order, new):
    """Whatever the order: nothing is found exactly where the old columns come first and as they were."""
    names = [f"n{place}" for place in order]
    names.insert(new, "new")
    old = [{"name": f"n{place}", "kind": "int64", "required": False} for place in range(6)]
    now = [{"name": name, "kind": "int64", "required": False} for name in names]
    found = list(differences(after(*old), after(*now)))
    assert (not found) == (names == [f"n{place}" for place in range(6)] + ["new"])
    assert all(BY_POSITION in each.readers for each in found)


def test_columns_say_since_which_version_they_are_there():
    for name, contract in {**DATASETS, **CSV_FILES}.items():
        seen: dict[str, str] = {}
        for promise in published()[name]:
            seen = {**dict.fromkeys(promise.names, promise.version), **seen}
        assert {column.name: column.since for column in contract} == seen, name


def test_what_is_published_is_never_written_again(tmp_path):
    path = append(FIRST, tmp_path)
    assert path == path_of(FIRST, tmp_path)
    with pytest.raises(FileExistsError):
        append(FIRST, tmp_path)
    assert path.read_text() == encode(FIRST)
    assert published(tmp_path) == {"t": [FIRST]}


@pytest.fixture
def ledger(tmp_path):
    """A copy of the ledger."""
    return Path(shutil.copytree(LEDGER, tmp_path / "ledger"))


def run(ledger, command, *options):
    with pytest.raises(SystemExit) as ended:
        main(["schema", command, "--ledger", str(ledger), *options])
    return ended.value.code


def test_the_command_says_where_what_and_whom_it_breaks(ledger, capsys, monkeypatch):
    sizes = DATASETS["cohort_sizes"]
    assert run(ledger, "check") == 0
    monkeypatch.setitem(DATASETS, "cohort_sizes", replace(sizes, columns=sizes.columns[:-1]))
    capsys.readouterr()
    assert run(ledger, "check") == 1
    told = capsys.readouterr().out
    assert told.startswith("cohort_sizes.exited: removed: it is gone")
    assert "polars: fails as soon as the newest day lacks it" in told
    assert run(ledger, "publish") == 1
    capsys.readouterr()
    assert run(ledger, "check", "--json") == 1
    [finding] = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["name"], finding["column"], finding["change"]) == ("cohort_sizes", "exited", "removed")
    assert {"duckdb", "polars", "pyarrow", "pandas", "spark"} < set(finding["readers"])


def test_a_new_minor_version_is_published_once(ledger, capsys, monkeypatch):
    sizes = DATASETS["cohort_sizes"]
    more = sizes.extended(Column("reentered", "int64", since="1.1"), version="1.1")
    monkeypatch.setitem(DATASETS, "cohort_sizes", more)
    assert run(ledger, "check") == 1
    assert "run murmur schema publish" in capsys.readouterr().out
    assert run(ledger, "publish") == 0
    assert (ledger / "cohort_sizes" / "1.1.json").exists()
    assert run(ledger, "check") == 0
    capsys.readouterr()
    assert run(ledger, "publish", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []
