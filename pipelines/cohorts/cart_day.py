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
    result = Result(pl.DataFrame(schema=dict(TRANSITIONS)), pl.DataFrame(schema=dict(MEMBERS)))
    if not (state.carts.is_empty() and facts.steps.is_empty()):
        result = _advanced(state, facts, rules, day, currency, result)
    state.scarce = _scarce_after(state.scarce, facts.crossings, rules, micros(day.end))
    _remember_values(state, rules, day, currency)
    return result


def _advanced(state: CartState, facts: Facts, rules: CartRules, day: Day, currency: str, nothing: Result) -> Result:
    bound = state.bound(rules, day.date) if rules.valuable else 0
    cut = halves(state, facts.steps, facts.orders, facts.crossings, rules, bound, micros(day.end))
    moving, resting = cut.moving, cut.resting
    idle = moving.carts.is_empty() and facts.steps.is_empty()
    result = nothing if idle else _moved(moving, facts, rules, day, currency, bound)
    state.carts = pl.concat([resting.carts, moving.carts], rechunk=True)
    state.items = pl.concat([resting.items, moving.items], rechunk=True)
    members = pl.concat([resting.members, result.members], rechunk=True)
    state.members = members.filter("is_member")
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
    owned = parts.pieces.join(found.spells.select("spell", "cart", "last_at"), on="spell")
    owned = owned.join(line.carts.select("cart", "owner"), on="cart")
    merged = _since(latches.union(owned.drop("spell", "last_at")), line, state, rules)
    chosen = _chosen(_moments(merged, end), owned, found)
    kept = _kept(line, rules, end)
    instants = ["cart", "epoch", "at", "carried"]
    wanted = chosen.select("cart", "epoch", pl.col("seen_at").alias("at"), "carried")
    still_open = kept.filter(pl.col("open_items") > 0)
    held = contents(line, pl.concat([wanted, still_open.select(instants)])).select("epoch", "at", *CONTENTS)
    context = _context(chosen, held, presence)
    moved = _transitions(merged).join(context, on="moment", how="left")
    members = _members(merged, context, owned, parts, rules, end)
    _advance(state, line, kept.join(held, on=["epoch", "at"], how="left"), found, parts, rules)
    return Result(moved.select(list(TRANSITIONS)), members)


def _since(merged: pl.DataFrame, line: Timeline, state: CartState, rules: CartRules) -> pl.DataFrame:
    """Add ``piece``, the ids, and ``entered_at``, which may lie days back."""
    ids = pl.DataFrame({"cohort": range(len(rules.ids)), "cohort_id": rules.ids}, schema_overrides={"cohort": pl.Int64})
    names = line.carts.select("owner", pl.col("flockr_vid").alias("subject")).unique("owner")
    known = state.members.select("cohort_id", "subject", "entered_at")
    joined = (
        merged.with_row_index("piece")
        .with_columns(pl.col("piece").cast(pl.Int64))
        .join(ids, on="cohort", maintain_order="left")
        .join(names, on="owner", maintain_order="left")
        .join(known, on=["cohort_id", "subject"], how="left", maintain_order="left")
    )
    carried = joined.filter(pl.col("start") == latches.BEFORE)
    if carried.height != known.height or carried["entered_at"].null_count():
        raise MurmurError(
            "cart cohorts: the carried members and the carried carts disagree; remove the state folder and run again"
        )
    return joined.with_columns(
        pl.when(pl.col("start") == latches.BEFORE).then("entered_at").otherwise("start").alias("entered_at")
    )


#: Each piece has at most two moments with a context: its start, and its end or that of the day.
START, STOP = pl.col("piece") * 2, pl.col("piece") * 2 + 1


def _transitions(merged: pl.DataFrame) -> pl.DataFrame:
    key = ["cohort_id", "subject"]
    entered = merged.filter(pl.col("start") != latches.BEFORE).select(
        *key,
        pl.col("start").alias("at"),
        pl.lit("entered").alias("direction"),
        pl.col("start_cause").alias("caused_by"),
        START.alias("moment"),
    )
    exited = merged.filter(pl.col("end") < INF).select(
        *key,
        pl.col("end").alias("at"),
        pl.lit("exited").alias("direction"),
        pl.col("end_cause").alias("caused_by"),
        STOP.alias("moment"),
    )
    return pl.concat([entered, exited])


def _moments(merged: pl.DataFrame, end: int) -> pl.DataFrame:
    """Instants at which a context is shown: ``moment``, ``cohort``, ``owner``, ``at``."""
    entered = merged.filter(pl.col("start") != latches.BEFORE)
    return pl.concat(
        [
            entered.select(START.alias("moment"), "cohort", "owner", pl.col("start").alias("at")),
            merged.select(STOP.alias("moment"), "cohort", "owner", _until(end).alias("at")),
        ]
    )


def _until(end: int) -> pl.Expr:
    """When a piece ended, or the end of the day."""
    return pl.when(pl.col("end") == INF).then(end).otherwise("end")


def _chosen(moments: pl.DataFrame, owned: pl.DataFrame, found: Spells) -> pl.DataFrame:
    """The cart that is shown at each moment: of those in the cohort the one with the newest activity; ties by cart."""
    pairs = moments.join(owned.select("cohort", "owner", "spell", "cart", "start", "end"), on=["cohort", "owner"])
    pairs = pairs.filter((pl.col("start") <= pl.col("at")) & (pl.col("at") <= pl.col("end")))
    rows = found.rows.select("spell", "epoch", "carried", pl.col("at").alias("seen_at")).sort("seen_at")
    seen = (
        pairs.select("moment", "spell", "cart", "at")
        .sort("at")
        .join_asof(rows, left_on="at", right_on="seen_at", by="spell", strategy="backward", check_sortedness=False)
    )
    ordered = seen.sort("moment", "seen_at", "cart", descending=[False, True, False])
    return ordered.filter(pl.col("moment").ne_missing(pl.col("moment").shift(1)))


def _context(chosen: pl.DataFrame, held: pl.DataFrame, presence: pl.DataFrame) -> pl.DataFrame:
    """``moment``, ``seen_at`` and the context of the chosen cart."""
    low = scarce_products.scarce_at(presence, chosen.select("spell", "seen_at", "at").unique())
    low = (
        low.unique(["spell", "seen_at", "at", "product_id"])
        .sort("spell", "at", "product_id")
        .group_by("spell", "seen_at", "at", maintain_order=True)
        .agg(pl.col("product_id").alias("low"), pl.col("state").min().alias("top_signal"))
    )
    known = held.rename({"at": "seen_at"})
    joined = chosen.join(known, on=["epoch", "seen_at"], how="left").join(
        low, on=["spell", "seen_at", "at"], how="left"
    )
    return joined.select(
        "moment",
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
    key = ["cohort", "owner"]
    again = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in key)
    newest = merged.filter(~again.fill_null(False))
    stays = pl.col("end") == INF
    rows = newest.with_columns(stays.alias("is_member"), _until(end).alias("at"), STOP.alias("moment"))
    going = owned.filter(stays).join(parts.quiet, on="spell", how="left")
    until = pl.col("last_at") + rules.ttl
    quiet = pl.when(pl.col("cohort") == _place(rules, rules.scarce)).then(pl.col("quiet_since") + rules.quiet)
    expiry = going.group_by(key).agg(pl.min_horizontal(until, quiet).max().alias("expires_at"))
    joined = rows.join(expiry, on=key, how="left").join(context, on="moment", how="left")
    updated = pl.when("is_member").then(pl.max_horizontal("entered_at", "seen_at")).otherwise("at")
    return joined.with_columns(
        pl.when("is_member").then("expires_at").otherwise("at").alias("expires_at"),
        updated.alias("updated_at"),
        subject_key("subject").alias("visitor"),
        pl.lit(None, dtype=pl.String).alias("membership_key"),
    ).select(list(MEMBERS))


def _place(rules: CartRules, cohort: str | None) -> int:
    """Number of a cart cohort in ``CartPieces``; none has -1."""
    return rules.ids.index(cohort) if cohort else -1


def _kept(line: Timeline, rules: CartRules, end: int) -> pl.DataFrame:
    """The newest instant of each cart that is carried to the next day."""
    last = line.instants.filter(pl.col("cart").ne_missing(pl.col("cart").shift(-1)))
    return last.filter(pl.col("order_at").is_null() & (pl.col("at") + rules.ttl >= end))


def _advance(
    state: CartState, line: Timeline, kept: pl.DataFrame, found: Spells, parts: CartPieces, rules: CartRules
) -> None:
    spell = found.rows.select("epoch", "at", "spell").join(
        found.spells.filter(pl.col("exit_at") == INF).select("spell", "abandoned_at"), on="spell"
    )
    going = parts.pieces.filter(pl.col("end") == INF)
    owners = line.carts.with_columns(subject_key("flockr_vid").alias("visitor"))
    rows = kept.join(owners, on="cart").join(spell, on=["epoch", "at"], how="left")
    rows = rows.join(parts.quiet, on="spell", how="left")
    for column, cohort in (("valuable", rules.valuable), ("scarce", rules.scarce)):
        inside = going.filter(pl.col("cohort") == _place(rules, cohort)).select("spell", pl.lit(True).alias(column))
        rows = rows.join(inside, on="spell", how="left").with_columns(pl.col(column).fill_null(False))
    rows = rows.with_columns(pl.when("scarce").then("quiet_since").alias("quiet_since"))
    # Paths are sorted by epoch and product, so the newest state of a product is the last of its rows.
    again = (pl.col("epoch") == pl.col("epoch").shift(-1)) & (pl.col("product_id") == pl.col("product_id").shift(-1))
    newest = line.items.filter(~again.fill_null(False)).select(line.untouched.columns)
    path = pl.concat([newest, line.untouched])
    items = path.join(kept.select("epoch", "cart"), on="epoch").join(owners, on="cart")
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
