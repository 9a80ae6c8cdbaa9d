"""One day of the cart cohorts: from yesterday's state and today's facts to transitions, members and today's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from pipelines.calendar import Day
from pipelines.cohorts import cart_timeline, latches, scarce_products
from pipelines.cohorts.cart_cohorts import CartPieces, cart_pieces
from pipelines.cohorts.cart_state import CARTS, CONTEXT, INF, ITEMS, MEMBERS, CartState
from pipelines.cohorts.cart_timeline import Timeline
from pipelines.cohorts.catalogue import CartRules
from pipelines.cohorts.contents import CONTENTS, contents
from pipelines.cohorts.resting import halves
from pipelines.cohorts.spells import Spells, spells
from pipelines.errors import MurmurError
from pipelines.signals.demand import micros
from pipelines.storage.hashing import subject_key

TRANSITIONS: Mapping[str, type[pl.DataType]] = {
    "cohort_id": pl.String,
    "subject": pl.String,
    "at": pl.Int64,
    "direction": pl.String,
    "caused_by": pl.String,
    **CONTEXT,
}


@dataclass(frozen=True)
class Facts:
    """Facts of a day with instants as Int64 microseconds ``at``.

    Attributes:
        steps: ``cart_activity``: flockr_vid, cart_key, at, event_id, line, step, product_id, quantity,
            unit_price_minor, currency.
        orders: ``visitor_orders``: flockr_vid, at.
        crossings: of the scarcity signal, not suppressed: product_id, to_state, at.
    """

    steps: pl.DataFrame
    orders: pl.DataFrame
    crossings: pl.DataFrame


@dataclass(frozen=True)
class Result:
    """Rows of a day; instants are microseconds.

    Attributes:
        transitions: cohort_id, subject, at, direction, caused_by, and the context.
        members: cohort_id, subject, is_member, entered_at, expires_at, updated_at, and the context; leavers included.
    """

    transitions: pl.DataFrame
    members: pl.DataFrame


def one_day(state: CartState, facts: Facts, rules: CartRules, day: Day, currency: str) -> Result:
    """Advance ``state`` over one day.

    Raises:
        MurmurError: a carried member has no cart that explains it; the state is not what it should be.
    """
    bound = state.bound(rules, day.date) if rules.valuable else 0
    cut = halves(state, facts.steps, facts.orders, facts.crossings, rules, bound, micros(day.end))
    moved = cut.moving
    result = Result(pl.DataFrame(schema=dict(TRANSITIONS)), pl.DataFrame(schema=dict(MEMBERS)))
    if not (moved.carts.is_empty() and facts.steps.is_empty()):
        result = _moved(moved, facts, rules, day, currency, bound)
    state.carts = pl.concat([cut.resting.carts, moved.carts], rechunk=True)
    state.items = pl.concat([cut.resting.items, moved.items], rechunk=True)
    members = pl.concat([cut.resting.members, result.members], rechunk=True)
    state.members = members.filter("is_member")
    state.scarce = _scarce_after(state.scarce, facts.crossings, rules, micros(day.end))
    _remember_values(state, rules, day, currency)
    return Result(result.transitions, members)


def _moved(state: CartState, facts: Facts, rules: CartRules, day: Day, currency: str, bound: int) -> Result:
    """Advance carts and items of the visitors that move."""
    start, end = micros(day.start), micros(day.end)
    line = cart_timeline.timeline(state, facts.steps, facts.orders, rules.ttl, currency)
    found = spells(line, rules, start, end)
    spans = scarce_products.scarce_spans(state.scarce, facts.crossings, rules.states)
    # What begins at the very end is seen from the next day on.
    spans = spans.filter(pl.col("scarce_from") < end)
    presence = scarce_products.scarce_presence(line, found, spans)
    parts = cart_pieces(found, line, rules, presence, bound, start, end)
    owned = parts.pieces.join(found.spells.select("spell", "cart", "last_at"), on="spell").join(line.carts, on="cart")
    owned = owned.rename({"flockr_vid": "subject"})
    merged = latches.union(owned.drop("spell", "cart", "last_at"))
    merged = _since(merged, state)
    moved = _transitions(merged)
    moments = pl.concat([moved.select("cohort_id", "subject", "at"), _now(merged, end)])
    context = _context(moments, owned, found, line, presence)
    transitions = moved.join(context, on=["cohort_id", "subject", "at"], how="left")
    members = _members(merged, context, owned, parts, rules, end)
    _advance(state, line, found, parts, rules, end)
    return Result(transitions.select(list(TRANSITIONS)), members)


def _since(merged: pl.DataFrame, state: CartState) -> pl.DataFrame:
    known = state.members.select("cohort_id", "subject", "entered_at")
    joined = merged.join(known, on=["cohort_id", "subject"], how="left", maintain_order="left")
    carried = joined.filter(pl.col("start") == latches.BEFORE)
    if carried.height != known.height or carried["entered_at"].null_count():
        raise MurmurError(
            "cart cohorts: the carried members and the carried carts disagree; remove the state folder and run again"
        )
    return joined.with_columns(
        pl.when(pl.col("start") == latches.BEFORE).then("entered_at").otherwise("start").alias("entered_at")
    )


def _transitions(merged: pl.DataFrame) -> pl.DataFrame:
    key = ["cohort_id", "subject"]
    entered = merged.filter(pl.col("start") != latches.BEFORE).select(
        *key,
        pl.col("start").alias("at"),
        pl.lit("entered").alias("direction"),
        pl.col("start_cause").alias("caused_by"),
    )
    exited = merged.filter(pl.col("end") < INF).select(
        *key, pl.col("end").alias("at"), pl.lit("exited").alias("direction"), pl.col("end_cause").alias("caused_by")
    )
    return pl.concat([entered, exited])


def _now(merged: pl.DataFrame, end: int) -> pl.DataFrame:
    return merged.filter(pl.col("end") == INF).select("cohort_id", "subject", pl.lit(end).alias("at"))


def _context(
    moments: pl.DataFrame,
    owned: pl.DataFrame,
    found: Spells,
    line: Timeline,
    presence: pl.DataFrame,
) -> pl.DataFrame:
    """Context at each moment, from the cart in the cohort whose last activity is the newest; ties by cart key."""
    key = ["cohort_id", "subject", "at"]
    pairs = moments.join(
        owned.select("cohort_id", "subject", "spell", "cart", "start", "end"), on=["cohort_id", "subject"]
    )
    pairs = pairs.filter((pl.col("start") <= pl.col("at")) & (pl.col("at") <= pl.col("end"))).drop("start", "end")
    rows = found.rows.select("spell", "epoch", "carried", pl.col("at").alias("seen_at")).sort("seen_at")
    seen = pairs.sort("at").join_asof(
        rows, left_on="at", right_on="seen_at", by="spell", strategy="backward", check_sortedness=False
    )
    chosen = seen.sort([*key, "seen_at", "cart"], descending=[False, False, False, True, False])
    chosen = chosen.unique(key, keep="first", maintain_order=True)
    held = contents(line, chosen.select("cart", "epoch", pl.col("seen_at").alias("at"), "carried"))
    held = held.select("epoch", pl.col("at").alias("seen_at"), *CONTENTS)
    low = scarce_products.scarce_at(presence, chosen.select("spell", "seen_at", "at").unique())
    low = (
        low.unique(["spell", "seen_at", "at", "product_id"])
        .sort("spell", "at", "product_id")
        .group_by("spell", "seen_at", "at", maintain_order=True)
        .agg(pl.col("product_id").alias("low"), pl.col("state").min().alias("top_signal"))
    )
    joined = chosen.join(held, on=["epoch", "seen_at"], how="left").join(low, on=["spell", "seen_at", "at"], how="left")
    return joined.select(
        *key,
        "seen_at",
        pl.col("total").alias("cart_total_value_minor"),
        "currency",
        pl.col("product_ids").alias("cart_product_ids"),
        json_list("low").alias("low_stock_product_ids"),
        "top_signal",
    )


def json_list(column: str) -> pl.Expr:
    """A list of strings as canonical JSON; ``[]`` for null."""
    encoded = pl.struct(pl.col(column).fill_null([])).struct.json_encode()
    prefix = len(column) + 4
    return encoded.str.slice(prefix, encoded.str.len_chars() - prefix - 1)


def _members(
    merged: pl.DataFrame, context: pl.DataFrame, owned: pl.DataFrame, parts: CartPieces, rules: CartRules, end: int
) -> pl.DataFrame:
    key = ["cohort_id", "subject"]
    newest = merged.sort(*key, "start").unique(key, keep="last", maintain_order=True)
    stays = pl.col("end") == INF
    rows = newest.with_columns(stays.alias("is_member"), pl.when(stays).then(end).otherwise("end").alias("at"))
    going = owned.filter(stays).join(parts.quiet, on="spell", how="left")
    until = pl.col("last_at") + rules.ttl
    quiet = pl.when(pl.col("cohort_id") == (rules.scarce or "")).then(pl.col("quiet_since") + rules.quiet)
    expiry = going.group_by(key).agg(pl.min_horizontal(until, quiet).max().alias("expires_at"))
    joined = rows.join(expiry, on=key, how="left").join(context, on=[*key, "at"], how="left")
    updated = pl.when("is_member").then(pl.max_horizontal("entered_at", "seen_at")).otherwise("at")
    return joined.with_columns(
        pl.when("is_member").then("expires_at").otherwise("at").alias("expires_at"),
        updated.alias("updated_at"),
        subject_key("subject").alias("visitor"),
        pl.lit(None, dtype=pl.String).alias("membership_key"),
    ).select(list(MEMBERS))


def _advance(state: CartState, line: Timeline, found: Spells, parts: CartPieces, rules: CartRules, end: int) -> None:
    last = line.instants.unique("cart", keep="last", maintain_order=True)
    kept = last.filter(pl.col("order_at").is_null() & (pl.col("at") + rules.ttl >= end))
    open_rows = kept.filter(pl.col("open_items") > 0).select("cart", "epoch", "at", "carried")
    held = contents(line, open_rows).select("epoch", *CONTENTS)
    spell = found.rows.select("epoch", "at", "spell").join(
        found.spells.filter(pl.col("exit_at") == INF).select("spell", "abandoned_at"), on="spell"
    )
    going = parts.pieces.filter(pl.col("end") == INF)
    owners = line.carts.with_columns(subject_key("flockr_vid").alias("visitor"))
    rows = kept.join(owners, on="cart").join(held, on="epoch", how="left").join(spell, on=["epoch", "at"], how="left")
    rows = rows.join(parts.quiet, on="spell", how="left")
    for column, cohort in (("valuable", rules.valuable), ("scarce", rules.scarce)):
        inside = going.filter(pl.col("cohort_id") == (cohort or "")).select("spell", pl.lit(True).alias(column))
        rows = rows.join(inside, on="spell", how="left").with_columns(pl.col(column).fill_null(False))
    rows = rows.with_columns(pl.when("scarce").then("quiet_since").alias("quiet_since"))
    path = pl.concat([line.items.select(line.untouched.columns), line.untouched])
    newest = path.unique(["epoch", "product_id"], keep="last", maintain_order=True)
    items = newest.join(kept.select("epoch", "cart"), on="epoch").join(owners, on="cart")
    state.items = items.select(list(ITEMS))
    state.carts = rows.rename({"at": "last_at"}).select(list(CARTS))


def _scarce_after(before: pl.DataFrame, crossings: pl.DataFrame, rules: CartRules, end: int) -> pl.DataFrame:
    moved = crossings.sort("product_id", "at").select(
        "product_id", pl.col("to_state").alias("state"), (pl.col("at") >= end).alias("at_end")
    )
    newest = pl.concat([before.with_columns(pl.lit(False).alias("at_end")), moved]).unique(
        "product_id", keep="last", maintain_order=True
    )
    return newest.filter(pl.col("state").is_in(list(rules.states)) | pl.col("at_end")).sort("product_id")


def _remember_values(state: CartState, rules: CartRules, day: Day, currency: str) -> None:
    open_values = state.carts.lazy().filter((pl.col("open_items") > 0) & (pl.col("currency") == currency))
    counted = open_values.group_by(pl.col("total").alias("value")).agg(pl.len().cast(pl.Int64).alias("carts"))
    state.values = {each: values for each, values in state.values.items() if (day.date - each).days < rules.partitions}
    state.values[day.date] = counted.sort("value").collect()
