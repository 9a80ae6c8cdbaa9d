"""Who is linked to whom at an instant, and for which customer an id stands, against a naive reading of the facts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.entities.checks import merges_end
from pipelines.entities.history import history
from pipelines.entities.identity import Kind, link_spans, with_visitor
from pipelines.entities.merges import customer_merges, holder_at, over_time
from pipelines.entities.steps import publish_dimensions
from schemas.entities import ENTITIES
from tests.entities.landing_files import at, land, make_tenant, record, versions

CUSTOMERS = ENTITIES["customers"]
START = at("2026-03-01")
IDS = ["c1", "c2", "c3", "c4"]
HOURS = 5
KINDS: tuple[Kind, ...] = ("visitor", "customer")
UTC_TIME = pl.Datetime("us", "UTC")
ID = st.sampled_from(IDS)
#: (id, hour) -> what the version of that instant says: a target, nobody, or "delete".
STATED = st.dictionaries(st.tuples(ID, st.integers(1, HOURS)), st.none() | ID | st.just("delete"), max_size=9)
LINK = st.tuples(st.sampled_from(["v1", "v2", "v3"]), ID, st.integers(1, HOURS))
Stated = dict[tuple[str, int], str | None]


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def records(stated: Stated) -> list[dict[str, Any]]:
    return [
        record(external_id=customer, updated_at=hour(when), op="delete")
        if said == "delete"
        else record(external_id=customer, updated_at=hour(when), merged_into=said)
        for (customer, when), said in stated.items()
    ]


def merged(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return customer_merges(history(versions(CUSTOMERS, rows), CUSTOMERS))


def target(stated: Stated, customer: str, when: int) -> str | None:
    """What the newest version before the instant says of the id; before all of them, what the first one says."""
    said = sorted((hour, text) for (name, hour), text in stated.items() if name == customer and text != "delete")
    before = [text for stated_at, text in said if stated_at < when]
    return before[-1] if before else said[0][1] if said else None


def holder(stated: Stated, customer: str, when: int) -> str:
    path = [customer]
    while (following := target(stated, path[-1], when)) is not None:
        if following in path:
            return min(path[path.index(following) :])
        path.append(following)
    return path[-1]


@given(STATED, st.randoms(use_true_random=False))
def test_an_id_stands_for_the_end_of_its_chain(stated: Stated, random: Any) -> None:
    rows = records(stated)
    shuffled = random.sample(rows, len(rows))
    merges = merged(rows)
    assert merged(shuffled).sort(merges.columns).equals(merges.sort(merges.columns))
    asked = [(customer, when) for customer in IDS for when in range(HOURS + 2)]
    frame = pl.DataFrame(
        [(customer, hour(when)) for customer, when in asked],
        schema={"customer_id": pl.String, "at": UTC_TIME},
        orient="row",
    )
    found = holder_at(frame, merges, instant="at")["customer_id"].to_list()
    assert found == [holder(stated, customer, when) for customer, when in asked]
    spans = pl.DataFrame(
        [(customer, hour(0), until) for customer in IDS for until in (hour(3), None)],
        schema={"customer_id": pl.String, "since": UTC_TIME, "until": UTC_TIME},
        orient="row",
    ).with_columns(sent="customer_id")
    pieces = over_time(spans, merges)
    for customer, when in asked:
        held = pieces.filter(
            (pl.col("sent") == customer)
            & (pl.col("since") < hour(when))
            & (pl.col("until") >= hour(when)).fill_null(True)
        )
        both = 0 if when == 0 else 1 if when > 3 else 2
        assert held["customer_id"].to_list() == [holder(stated, customer, when)] * both
    ends = pieces.filter("moved_out").select("sent", at="until").unique().sort("sent", "at")
    begins = pieces.filter("moved_in").select("sent", at="since").unique().sort("sent", "at")
    assert ends.equals(begins)


@given(st.lists(LINK, max_size=8), STATED)
def test_links_hold_strictly_after_their_instant(links: list[tuple[str, str, int]], stated: Stated) -> None:
    types = {"flockr_vid": pl.String, "customer_id": pl.String, "linked_at": UTC_TIME}
    frame = pl.DataFrame([(vid, customer, hour(when)) for vid, customer, when in links], schema=types, orient="row")
    merges = merged(records(stated))
    spans = {kind: link_spans(frame, merges, kind) for kind in KINDS}
    for when in range(1, HOURS + 2):
        before = [link for link in links if link[2] < when]
        for vid in ("v1", "v2", "v3"):
            own = sorted((link for link in before if link[0] == vid), key=lambda link: (-link[2], link[1]))
            assert others(spans["visitor"], vid, when) == [holder(stated, link[1], when) for link in own[:1]]
        expected = []
        for customer in IDS:
            theirs = [link for link in before if holder(stated, link[1], when) == customer]
            newest = sorted(theirs, key=lambda link: (-link[2], link[0]))[:1]
            assert others(spans["customer"], customer, when) == [link[0] for link in newest]
            whose = holder(stated, customer, when)
            theirs = [link for link in before if holder(stated, link[1], when) == whose]
            newest = sorted(theirs, key=lambda link: (-link[2], link[0]))[:1]
            expected.append(newest[0][0] if newest else None)
        events = pl.DataFrame(
            [(customer, None, hour(when)) for customer in [*IDS, None]],
            schema={"customer_id": pl.String, "flockr_vid": pl.String, "occurred_at": UTC_TIME},
            orient="row",
        )
        seen = with_visitor(events, spans["customer"], merges)
        assert seen["flockr_vid"].to_list() == [*expected, None]
        assert seen["customer_id"].equals(events["customer_id"])


def others(spans: pl.DataFrame, subject: str, when: int) -> list[str]:
    held = spans.filter(
        (pl.col("subject") == subject)
        & (pl.col("since") < hour(when))
        & (pl.col("until") >= hour(when)).fill_null(True)
    )
    return held["other"].to_list()


def test_microseconds_and_instants_give_the_same_spans() -> None:
    rows = [("v1", "c1", 1), ("v2", "c2", 2), ("v3", "c1", 4)]
    frame = pl.DataFrame(rows, schema=["flockr_vid", "customer_id", "linked_at"], orient="row").with_columns(
        linked_at=pl.lit(START) + pl.duration(hours="linked_at")
    )
    merges = merged(records({("c1", 1): None, ("c1", 3): "c2", ("c1", 5): None}))
    times = {kind: link_spans(frame.cast({"linked_at": UTC_TIME}), merges, kind) for kind in KINDS}
    numbers = frame.with_columns(pl.col("linked_at").cast(UTC_TIME).cast(pl.Int64))
    for kind, spans in times.items():
        assert spans.cast({"since": pl.Int64, "until": pl.Int64}).equals(link_spans(numbers, merges, kind))
    assert others(times["customer"], "c2", 4) == ["v2"]
    assert others(times["customer"], "c1", 4) == []
    assert others(times["customer"], "c2", 5) == ["v3"]
    assert others(times["customer"], "c1", 6) == ["v3"]


def test_of_a_circle_the_least_id_stands_for_all_and_is_told() -> None:
    merges = merged(records({("c3", 1): "c2", ("c2", 2): None, ("c2", 3): "c3", ("c4", 4): "c3"}))
    beginning = at("0001-01-01")
    assert merges.select("external_id", "effective_from", "customer_id", "is_circular").rows() == [
        ("c2", hour(3), "c2", True),
        ("c3", beginning, "c2", False),
        ("c3", hour(3), "c2", True),
        ("c4", beginning, "c2", False),
        ("c4", hour(3), "c2", True),
    ]


def test_the_check_warns_of_a_circle(tmp_path: Path) -> None:
    tenant = make_tenant(tmp_path)
    land(tenant, "customers", records({("c1", 1): "c2", ("c2", 2): None}))
    publish_dimensions(tenant, ("customers",))
    assert merges_end(tenant, []).passed
    land(tenant, "customers", records({("c2", 3): "c1"}))
    publish_dimensions(tenant, ("customers",))
    result = merges_end(tenant, [])
    assert (result.passed, result.blocking, result.evidence) == (False, False, {"customers": 2})
