"""Order cohorts as intervals equal membership asked at every instant of interest, one customer at a time."""

from __future__ import annotations

from itertools import pairwise

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.cohorts.catalogue import SHIPPED
from pipelines.cohorts.instants.evaluate import evaluate
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.orders import counted_orders, paid
from pipelines.config import load_yaml
from schemas.tables import CUSTOMER_MERGES

HORIZON = 60
SCHEMA = {"order_id": pl.String, "kind": pl.String, "sale_id": pl.String, "customer_id": pl.String} | {
    name: pl.Int64 for name in ("at", "units", "net_minor")
}


def definition(name):
    return load_yaml(SHIPPED / f"{name}.yaml", Cohort)


class Small:
    """A definition whose durations are tiny numbers, so that instants collide."""

    for_each = None

    def __init__(self, cohort, values):
        self.rule, self.values = cohort.rule, values

    def param(self, name):
        return self.values[name.removeprefix("$")]


def intervals(cohort, orders, horizon):
    rows = orders.with_columns(pl.lit(1, dtype=pl.Int64).alias("weight"))
    return evaluate(cohort, lambda stream, fields, conditions: rows, {}, horizon)[1]


sales = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 40)), max_size=7)
returns = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 50), st.sampled_from([1, 1, 2])), max_size=4)


def rows_of(sold, back):
    rows = [(f"o{n}", "sale", f"o{n}", who, at, 2 if n % 2 else 1, 10) for n, (who, at) in enumerate(sold)]
    for n, (which, at, units) in enumerate(back):
        if which < len(sold):
            rows.append((f"r{n}", "return", f"o{which}", sold[which][0], at, -units, -5))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(pl.lit("GBP").alias("currency"))


#: When ``a`` is merged into ``b``, and when it is taken back; both seen by a later as_of.
merged = st.none() | st.tuples(st.integers(0, 50), st.integers(1, 30))


def merges_of(merge):
    if merge is None:
        return CUSTOMER_MERGES.empty()
    rows = [("a", merge[0], "b", False), ("a", sum(merge), "a", False)]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(CUSTOMER_MERGES.names), orient="row")
    return frame.cast(dict(CUSTOMER_MERGES.schema))


def stands_for(who, merge, as_of):
    return "b" if merge and who == "a" and merge[0] < as_of <= sum(merge) else who


def valid(rows, who, as_of, merge):
    """Instants of the customer's orders that count just before ``as_of``: seen, and not wholly returned."""
    found = []
    for row in rows.filter(pl.col("kind") == "sale").to_dicts():
        if stands_for(row["customer_id"], merge, as_of) != who:
            continue
        back = rows.filter(
            (pl.col("kind") == "return") & (pl.col("sale_id") == row["order_id"]) & (pl.col("at") < as_of)
        )
        returned = -back["units"].sum()
        if row["at"] < as_of and not (back.height and returned >= row["units"]):
            found.append(row["at"])
    return sorted(found)


def frequent(instants, as_of):
    return sum(1 for at in instants if as_of - 10 <= at) >= 2


def absent(instants, as_of):
    if not instants:
        return False
    gaps = sorted(b - a for a, b in pairwise(instants))
    middle = (gaps[(len(gaps) - 1) // 2] + gaps[len(gaps) // 2]) // 2 if gaps else 0
    # Entered at last + wait, which is seen by every later as_of.
    return as_of - instants[-1] > max(6, 2 * middle)


@settings(max_examples=40)
@given(sales, returns, merged)
def test_intervals_equal_membership_at_every_instant(sold, back, merge):
    rows = rows_of(sold, back)
    orders = counted_orders(rows, merges_of(merge))
    cases = {
        "repeat_purchaser": ({"window": 10, "orders": 2}, frequent),
        "lapsed_shopper": ({"floor": 6, "multiple": 2}, absent),
    }
    for name, (values, member) in cases.items():
        found = intervals(Small(definition(name), values), orders, HORIZON)
        for who in ("a", "b"):
            spans = found.filter(pl.col("subject") == who).select("start", "end").rows()
            assert all(one[1] < two[0] for one, two in pairwise(spans)), "they would touch"
            for as_of in range(HORIZON + 1):
                inside = any(start < as_of <= end for start, end in spans)
                assert inside == member(valid(rows, who, as_of, merge), as_of), (name, who, as_of)
            causes = found.filter(pl.col("subject") == who).select("start", "end", "start_cause", "end_cause").rows()
            for start, end, began, ended in causes:
                assert began != "merge" or (merge and start in (merge[0], sum(merge)))
                assert ended != "merge" or (merge and end in (merge[0], sum(merge)))


def test_who_left_by_a_merge_says_so():
    rows = rows_of([("a", 1), ("a", 3), ("b", 2)], [])
    orders = counted_orders(rows, merges_of((5, 3)))
    cohort = Small(definition("repeat_purchaser"), {"window": 100, "orders": 2})
    found = intervals(cohort, orders, HORIZON).select("subject", "start", "end", "start_cause", "end_cause")
    assert [row for row in found.rows() if row[0] == "a"] == [
        ("a", 3, 5, "order", "merge"),
        ("a", 8, 101, "merge", "expiry"),
    ]
    assert [row for row in found.rows() if row[0] == "b"] == [("b", 5, 8, "merge", "merge")]


def test_money_goes_with_the_customer():
    rows = rows_of([("a", 1), ("b", 2)], [(0, 4, 1)])
    money = paid(rows, merges_of((5, 3)))
    worth = {
        (who, at): money.filter((pl.col("subject") == who) & (pl.col("since") < at) & (pl.col("until") >= at))[
            "net_minor"
        ].sum()
        for who in "ab"
        for at in (5, 8, 9)
    }
    assert worth == {("a", 5): 5, ("a", 8): 0, ("a", 9): 5, ("b", 5): 10, ("b", 8): 15, ("b", 9): 10}
