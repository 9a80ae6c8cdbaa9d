"""Groups in a circle, and memberships that the two sides tell differently."""

from __future__ import annotations

import json

import polars as pl
import pytest

from pipelines.entities.groups import circular, conflicts


def lists(**members: list[str] | None) -> list[dict[str, str | None]]:
    return [{"external_id": key, "of": None if ids is None else json.dumps(ids)} for key, ids in members.items()]


def frame(rows: list[dict[str, str | None]], column: str) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"external_id": pl.String, "of": pl.String}).rename({"of": column})


@pytest.mark.parametrize(
    ("parents", "found"),
    [
        ({"a": "b", "b": "c", "c": None}, []),
        ({"a": "b", "b": "c", "c": "b"}, ["b", "c"]),
        ({"a": "a"}, ["a"]),
        ({"a": "not-there"}, []),
    ],
)
def test_circles(parents: dict[str, str | None], found: list[str]) -> None:
    rows = list(parents.items())
    assert circular(pl.DataFrame(rows, schema=["external_id", "parent_id"], orient="row")) == found


@pytest.mark.parametrize(
    ("groups", "outlets", "found"),
    [
        (lists(g=["o"]), lists(o=["g"]), []),
        (lists(g=["o"]), lists(o=None), []),
        (lists(g=None), lists(o=["g"]), []),
        (lists(g=["o"], h=None), lists(o=["h"]), [("o", "g", "groups")]),
        (lists(g=["o"]), lists(o=["g"], p=["g"]), [("p", "g", "outlets")]),
    ],
)
def test_conflicts(
    groups: list[dict[str, str | None]], outlets: list[dict[str, str | None]], found: list[tuple[str, str, str]]
) -> None:
    told = frame(groups, "outlet_ids").with_columns(parent_id=pl.lit(None, pl.String))
    assert conflicts(told, frame(outlets, "group_ids")).rows() == found


def test_an_outlet_is_in_the_groups_around_its_own() -> None:
    groups = frame(lists(north=None, all=["o"]), "outlet_ids").with_columns(parent_id=pl.Series(["all", None]))
    assert conflicts(groups, frame(lists(o=["north"]), "group_ids")).is_empty()
