"""Some days of the cart cohorts at once: from the state before them and their facts to rows by day and the state after.

However the days are cut into stretches, the rows are the same; a longer stretch only pays for fewer passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from pipelines.cohorts import cart_members, cart_timeline, latches, scarce_products
from pipelines.cohorts.cart_cohorts import CartPieces, cart_pieces
from pipelines.cohorts.cart_context import contexts, newest_carts
from pipelines.cohorts.cart_state import CARTS, INF, ITEMS, CartState
from pipelines.cohorts.cart_timeline import Timeline
from pipelines.cohorts.catalogue import CartRules
from pipelines.cohorts.contents import contents
from pipelines.cohorts.links import SPANS, linked_at, linked_each
from pipelines.cohorts.resting import halves
from pipelines.cohorts.result import TRANSITIONS, Result, keyed, nothing
from pipelines.cohorts.span import Span
from pipelines.cohorts.spells import Spells, spells
from pipelines.errors import MurmurError
from pipelines.storage.hashing import subject_key


@dataclass(frozen=True)
class Facts:
    """Facts of some days with instants as Int64 microseconds ``at``.

    Attributes:
        steps: ``cart_activity``: flockr_vid, cart_key, at, event_id, line, step, product_id, quantity,
            unit_price_minor, currency.
        orders: ``visitor_orders``: flockr_vid, at.
        crossings: of the scarcity signal, not suppressed, in the order of the days: product_id, to_state, at, at_end
            (it lies at the very end of its day).
    """

    steps: pl.DataFrame
    orders: pl.DataFrame
    crossings: pl.DataFrame


@dataclass(frozen=True)
class Setting:
    """What stays the same from day to day.

    Attributes:
        rules: settings of the cart cohorts.
        currency: what the tenant counts in.
        tenant: its id.
        links: ``links.SPANS`` of visitors.
    """

    rules: CartRules
    currency: str
    tenant: str
    links: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SPANS))


def advance(state: CartState, facts: Facts, setting: Setting, span: Span) -> list[Result]:
    """Advance ``state`` over some days.

    Returns:
        The rows of each day, in order.

    Raises:
        MurmurError: a carried member has no cart that explains it; the state is not what it should be.
    """
    idle = state.carts.is_empty() and facts.steps.is_empty()
    results = [nothing() for _ in span.days] if idle else _advanced(state, facts, setting, span)
    state.scarce = _scarce_after(state.scarce, facts.crossings, setting.rules, span.end)
    for day in span.dates if idle else span.dates[-1:]:
        _remember(state, setting.rules, day, state.open_values(setting.currency))
    return results


def _advanced(state: CartState, facts: Facts, setting: Setting, span: Span) -> list[Result]:
    if len(span.days) > 1:
        # Over several days nearly every visitor moves, so telling who rests would cost more than it saves.
        return _moved(state, state, facts, setting, span)
    bound = state.bound(setting.rules, span.dates[0])
    cut = halves(state, facts.steps, facts.orders, facts.crossings, setting.rules, bound, span.end)
    moving, resting = cut.moving, cut.resting
    idle = moving.carts.is_empty() and facts.steps.is_empty()
    result = nothing() if idle else _moved(moving, state, facts, setting, span)[0]
    state.carts = pl.concat([resting.carts, moving.carts], rechunk=True)
    state.items = pl.concat([resting.items, moving.items], rechunk=True)
    still = linked_at(resting.members, setting.links, span.end)
    members = pl.concat([still, result.members], rechunk=True).sort("cohort_id", "subject")
    state.members = members.filter("is_member").drop("other")
    return [Result(result.transitions, members)]


def _moved(state: CartState, past: CartState, facts: Facts, setting: Setting, span: Span) -> list[Result]:
    """Advance carts, items and members of the visitors that move; values of earlier days are those of ``past``."""
    rules = setting.rules
    line = cart_timeline.timeline(state, facts.steps, facts.orders, rules.ttl, setting.currency)
    found = spells(line, rules, span.start, span.end)
    spans = scarce_products.scarce_spans(state.scarce, facts.crossings, rules.states, span.end)
    presence = scarce_products.scarce_presence(line, found, spans)
    parts = cart_pieces(found, line, rules, presence, _bounds(past, line, rules, span), span)
    owned = parts.pieces.join(found.spells.select("spell", "cart"), on="spell")
    union = latches.union(owned.join(line.carts.select("cart", "owner"), on="cart"))
    merged = _since(union.merged, line, state, setting)
    moments = _moments(merged)
    chosen = newest_carts(moments, union.parts, found)
    going = cart_members.going(union.parts, found, parts.quiet, rules, span)
    kept = _kept(line, rules, span.end)
    held = contents(line, found.rows, [chosen["row"], going["row"], _rows_of(kept, found)["row"]])
    names = line.carts.select("owner", pl.col("flockr_vid").alias("subject")).unique("owner")
    links = names.join(setting.links, on="subject").drop("subject")
    moved = linked_each(moments.join(contexts(chosen, held, presence), on="moment", how="left"), links, "owner")
    moved = moved.with_columns(span.place(moved["at"]).alias("day"))
    shown = cart_members.Shown(merged, found.rows, held, presence, span.across(links, "linked_at", "until"))
    members = cart_members.members(shown, going, moved, span)
    _advance(state, line, kept, held, found, parts, rules, len(span.days) - 1)
    state.members = members[-1].filter("is_member").drop("other")
    moved = moved.sort("cohort_id", "owner", "at")
    columns = [*TRANSITIONS, "other"]
    by_day = [moved.filter(pl.col("day") == place).select(columns) for place in range(len(span.days))]
    return [Result(rows, inside) for rows, inside in zip(by_day, members, strict=True)]


def _bounds(state: CartState, line: Timeline, rules: CartRules, span: Span) -> list[int]:
    """The value bound of each day; the values at the end of every day but the last are remembered on the way."""
    bounds = [state.bound(rules, span.dates[0])]
    if len(span.days) > 1:
        values = cart_timeline.open_values(line, rules.ttl, Span(span.days[:-1]))
        for place, (day, following) in enumerate(zip(span.dates, span.dates[1:], strict=False)):
            _remember(state, rules, day, values.filter(pl.col("day") == place).drop("day"))
            bounds.append(state.bound(rules, following))
    return bounds


def _remember(state: CartState, rules: CartRules, day: date, values: pl.DataFrame) -> None:
    state.values = {each: known for each, known in state.values.items() if (day - each).days < rules.partitions}
    state.values[day] = values.sort("value")


def _since(merged: pl.DataFrame, line: Timeline, state: CartState, setting: Setting) -> pl.DataFrame:
    """Add the ids, and ``entered_at``, which may lie days back."""
    rules = setting.rules
    ids = pl.DataFrame({"cohort": range(len(rules.ids)), "cohort_id": rules.ids}, schema_overrides={"cohort": pl.Int64})
    names = line.carts.select("owner", pl.col("flockr_vid").alias("subject")).unique("owner")
    known = state.members.select("cohort_id", "subject", "entered_at", "membership_key")
    joined = (
        merged.join(ids, on="cohort", maintain_order="left")
        .join(names, on="owner", maintain_order="left")
        .join(known, on=["cohort_id", "subject"], how="left", maintain_order="left")
    )
    carried = joined.filter(pl.col("start") == latches.BEFORE)
    if carried.height != known.height or carried["entered_at"].null_count():
        raise MurmurError(
            "cart cohorts: the carried members and the carried carts disagree; remove the state folder and run again"
        )
    entered = pl.when(pl.col("start") == latches.BEFORE).then("entered_at").otherwise("start")
    rows = joined.with_columns(entered.alias("entered_at"), subject_key("subject").alias("visitor"))
    return keyed(rows, setting.tenant).sort("piece")


def _moments(merged: pl.DataFrame) -> pl.DataFrame:
    """Entries and exits: ``moment`` (twice the piece, one more for an exit), ``piece`` and what is said of them."""
    columns = ["moment", "piece", "cohort_id", "owner", "subject", "at", "direction", "caused_by"]
    entered = merged.filter(pl.col("start") != latches.BEFORE).with_columns(
        (pl.col("piece") * 2).alias("moment"),
        pl.col("start").alias("at"),
        pl.lit("entered").alias("direction"),
        pl.col("start_cause").alias("caused_by"),
    )
    exited = merged.filter(pl.col("end") < INF).with_columns(
        (pl.col("piece") * 2 + 1).alias("moment"),
        pl.col("end").alias("at"),
        pl.lit("exited").alias("direction"),
        pl.col("end_cause").alias("caused_by"),
    )
    return pl.concat([entered.select(columns), exited.select(columns)])


def _kept(line: Timeline, rules: CartRules, end: int) -> pl.DataFrame:
    """The newest instant of each cart that is carried to the next day."""
    last = line.instants.filter(pl.col("cart").ne_missing(pl.col("cart").shift(-1)))
    return last.filter(pl.col("order_at").is_null() & (pl.col("at") + rules.ttl >= end))


def _rows_of(kept: pl.DataFrame, found: Spells) -> pl.DataFrame:
    """The open instants among those that are kept, with ``row`` and ``spell``."""
    newest = found.rows.filter(pl.col("until") == INF).select("epoch", "at", "row", "spell")
    return kept.join(newest, on=["epoch", "at"])


def _advance(
    state: CartState,
    line: Timeline,
    kept: pl.DataFrame,
    held: pl.DataFrame,
    found: Spells,
    parts: CartPieces,
    rules: CartRules,
    last: int,
) -> None:
    seen = _rows_of(kept, found).select("cart", "row", "spell")
    spell = seen.join(found.spells.select("spell", "abandoned_at"), on="spell").join(held, on="row", how="left")
    going = parts.pieces.filter(pl.col("end") == INF)
    owners = line.carts.with_columns(subject_key("flockr_vid").alias("visitor"))
    rows = kept.join(owners, on="cart").join(spell, on="cart", how="left")
    quiet = parts.quiet.filter(pl.col("day") == last).drop("day")
    rows = rows.join(quiet, on="spell", how="left")
    for column, cohort in (("valuable", rules.valuable), ("scarce", rules.scarce)):
        inside = going.filter(pl.col("cohort") == rules.place(cohort)).select("spell", pl.lit(True).alias(column))
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
    placed = pl.when("at_end").then(scarce_products.position_at_end("at")).otherwise(scarce_products.position("at"))
    moved = crossings.with_columns(placed.alias("placed")).sort("product_id", "placed", maintain_order=True)
    moved = moved.select("product_id", pl.col("to_state").alias("state"), (pl.col("at") >= end).alias("at_end"))
    newest = pl.concat([before.with_columns(pl.lit(False).alias("at_end")), moved]).unique(
        "product_id", keep="last", maintain_order=True
    )
    return newest.filter(pl.col("state").is_in(list(rules.states)) | pl.col("at_end")).sort("product_id")
