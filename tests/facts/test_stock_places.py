"""A tenant's stock is that of the outermost measured places, whichever side told what lies inside what."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.facts.places import PLACE, containment, total_changes
from pipelines.facts.stock import last_by_place, on_day
from tests.entities.landing_files import at

GROUPS = {"external_id": pl.String(), "parent_id": pl.String(), "outlet_ids": pl.String()}
OUTLETS = {"external_id": pl.String(), "group_ids": pl.String()}
MEASURED = {
    **dict.fromkeys(PLACE, pl.String()),
    "measured_at": pl.Datetime("us", "UTC"),
    "external_id": pl.String(),
    "available": pl.Int64(),
}
#: north (o1, o2) lies in nation; flagship holds o1 too; o3 is on its own.
NESTED = (
    [("nation", None, None), ("north", "nation", ["o1"]), ("flagship", None, ["o1"])],
    [("o1", []), ("o2", ["north"]), ("o3", None)],
)
CIRCLE = ([("a", "b", ["o1"]), ("b", "c", []), ("c", "a", []), ("d", "d", ["o2"])], [])


def inside(groups: list[Any], outlets: list[Any]) -> pl.DataFrame:
    def text(ids: list[str] | None) -> str | None:
        return None if ids is None else json.dumps(ids)

    return containment(
        pl.DataFrame([(name, parent, text(held)) for name, parent, held in groups], schema=GROUPS, orient="row"),
        pl.DataFrame([(name, text(within)) for name, within in outlets], schema=OUTLETS, orient="row"),
    )


def measured(*rows: tuple[str | None, int, int], product: str = "p") -> pl.DataFrame:
    """Rows of (place, hour, available); outlets begin with o, groups do not, and None is the whole tenant."""

    def row(place: str | None, hour: int, available: int) -> tuple[Any, ...]:
        outlet = place if place and place.startswith("o") else None
        instant: datetime = at("2026-03-02T00:00") + timedelta(hours=hour)
        return product, outlet, None if outlet else place, instant, f"{place}-{hour}", available

    return pl.DataFrame([row(*each) for each in rows], schema=MEASURED, orient="row")


def end(rows: pl.DataFrame, held: pl.DataFrame) -> Any:
    """``available_end`` of the only product, equal whether measured today or before."""
    nothing = last_by_place(rows.clear())
    today, earlier = on_day(nothing, rows, held), on_day(last_by_place(rows), rows.clear(), held)
    assert today["available_end"].to_list() == earlier["available_end"].to_list()
    return today["available_end"].item()


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ({"o1": 1, "o2": 2, "o3": 4}, 7),
        ({"north": 8, "o1": 1, "o2": 2, "o3": 4}, 12),
        ({"nation": 16, "north": 8, "o2": 2}, 16),
        ({"nation": 16, "o1": 1, "o2": 2, "o3": 4}, 20),
        ({"flagship": 32, "o1": 1, "o2": 2}, 34),
        ({"flagship": 32, "nation": 16, "o1": 1}, 48),
        ({"unknown": 64, "o9": 128, "o1": 1}, 193),
        ({None: 256, "nation": 16, "o3": 4}, 256),
    ],
)
def test_only_the_outermost_measured_places_count(places: dict[str | None, int], expected: int) -> None:
    rows = measured(*((place, 1, available) for place, available in places.items()))
    assert end(rows, inside(*NESTED)) == expected


def test_either_side_tells_a_membership() -> None:
    assert inside([("g", None, ["o1"])], []).rows() == [("o:o1", "g:g")]
    assert inside([("g", None, None)], [("o1", ["g"])]).rows() == [("o:o1", "g:g")]
    assert inside([("g", None, ["o1"])], [("o1", ["g"])]).rows() == [("o:o1", "g:g")]
    assert inside([], []).is_empty()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_groups_in_a_circle_are_one_and_never_nothing(count: int) -> None:
    stock = {"a": 1, "b": 2, "c": 4}
    for names in combinations(stock, count):
        rows = measured(*((name, 1, stock[name]) for name in names), ("o1", 1, 8))
        assert end(rows, inside(*CIRCLE)) == stock[min(names)]
    assert end(measured(("d", 1, 3), ("o2", 1, 1)), inside(*CIRCLE)) == 3, "its own parent"


def test_an_inner_place_counts_until_one_around_it_is_measured() -> None:
    rows = measured(("o1", 1, 5), ("o2", 2, 1), ("north", 3, 20), ("o1", 4, 9), ("nation", 5, 0), ("north", 6, 7))
    found = total_changes(rows.clear(), rows, inside(*NESTED)).with_columns(pl.col("change").cum_sum())
    assert [(instant.hour, total) for _, instant, total in found.rows()] == [
        (1, 5), (2, 6), (3, 20), (5, 0)
    ]  # fmt: skip


def test_a_product_of_which_the_group_is_not_measured_keeps_its_outlets() -> None:
    rows = pl.concat([measured(("nation", 1, 9), ("o1", 1, 5)), measured(("o1", 1, 5), ("o2", 1, 1), product="q")])
    found = on_day(last_by_place(rows.clear()), rows, inside(*NESTED)).sort("product_id")
    assert found["available_end"].to_list() == [9, 6]


AROUND = {"o1": {"north", "nation", "flagship"}, "o2": {"north", "nation"}, "north": {"nation"}}
ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, "o1", "o2", "o3", "north", "nation", "flagship"]), st.integers(0, 5), st.integers(0, 3)
    ),
    unique_by=lambda row: row[:2],
    max_size=10,
)


@given(ROWS, ROWS)
def test_totals_equal_a_walk_through_the_day(earlier: list[Any], today: list[Any]) -> None:
    held: dict[str | None, int] = {}

    def outermost() -> set[str | None]:
        return {place for place in held if not ({None, *AROUND.get(place or "", set())} - {place}) & held.keys()}

    for place, _, available in sorted(earlier, key=lambda row: row[1]):
        held[place] = available
    totals = [sum(held[place] for place in outermost())] if held else []
    for hour in sorted({row[1] for row in today}):
        now = {place: available for place, at_hour, available in today if at_hour == hour}
        held.update(now)
        if now.keys() & outermost():
            totals.append(sum(held[place] for place in outermost()))
    before = last_by_place(measured(*earlier))
    found = total_changes(before, measured(*today), inside(*NESTED))
    assert found["change"].cum_sum().to_list() == totals
