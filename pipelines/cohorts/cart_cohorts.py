"""The three cart cohorts of some days as pieces of membership per spell of a cart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_timeline import Timeline
from pipelines.cohorts.catalogue import CartRules
from pipelines.cohorts.latches import pieces
from pipelines.cohorts.scarce_products import quiet_at_ends, quiet_points, scarce_at
from pipelines.cohorts.span import Span
from pipelines.cohorts.spells import Spells


@dataclass(frozen=True)
class CartPieces:
    """Pieces of all cart cohorts.

    Attributes:
        pieces: ``cohort`` (place in ``CartRules.ids``), ``spell``, ``start``, ``end``, ``start_cause``, ``end_cause``.
        quiet: ``spell``, ``day``, ``quiet_since`` for spells that may be in the scarce cohort.
    """

    pieces: pl.DataFrame
    quiet: pl.DataFrame


def latch(found: Spells, line: Timeline, column: str) -> pl.DataFrame:
    """Spells that are abandoned, with a latch of the day before: ``spell``, ``was_on``, ``exit_at``, ``exit_cause``."""
    held = line.held.filter(column)
    first = found.rows.filter("carried").join(held.select("cart"), on="cart", how="semi").select("spell")
    rows = found.spells.filter(pl.col("abandoned_at").is_not_null())
    return rows.join(first.with_columns(pl.lit(True).alias("was_on")), on="spell", how="left").with_columns(
        pl.col("was_on").fill_null(False)
    )


def abandoned(found: Spells) -> pl.DataFrame:
    """Pieces of the cohort of absence."""
    rows = found.spells.filter(pl.col("abandoned_at").is_not_null())
    points = rows.filter(~pl.col("was_abandoned")).select(
        "spell", pl.col("abandoned_at").alias("at"), pl.lit(True).alias("on"), pl.lit("silence").alias("cause")
    )
    return pieces(points, rows.with_columns(pl.col("was_abandoned").alias("was_on")))


def valuable(found: Spells, line: Timeline, rules: CartRules, bounds: Sequence[int], span: Span) -> pl.DataFrame:
    """Pieces of the cohort with a value bound: compared when the cart is abandoned, changes, or a day begins.

    Args:
        found: the days' spells.
        line: the days' timeline.
        rules: share of the bound below which a member leaves.
        bounds: the bound of each day.
        span: the days.
    """
    latched = latch(found, line, "valuable")
    rows = found.rows.join(latched.select("spell", "abandoned_at", "was_abandoned"), on="spell")
    seen = rows.filter((pl.col("until") > pl.col("abandoned_at")) & (pl.col("until") > span.start))
    seen = seen.with_columns(seen_from=pl.max_horizontal("at", "abandoned_at", span.start))
    place = span.place(seen["seen_from"])
    seen = seen.with_columns(pl.Series(bounds, dtype=pl.Int64).gather(place).alias("bound"))
    cause = (
        pl.when(pl.col("seen_from") == pl.col("abandoned_at"))
        .then(pl.lit("silence"))
        .when("carried")
        .then(pl.lit("bound"))
        .otherwise(pl.lit("cart_changed"))
    )
    points = [
        seen.select(
            "spell", pl.col("seen_from").alias("at"), _enough(pl.col("bound"), rules).alias("on"), cause.alias("cause")
        )
    ]
    # A day whose bound differs is compared again, where that can make a difference.
    for start, before, bound in zip(span.starts[1:], bounds, bounds[1:], strict=False):
        if before != bound:
            now = _enough(pl.lit(bound), rules)
            rests = (pl.col("seen_from") < start) & (start < pl.col("until"))
            other = seen.filter(rests & now.ne_missing(_enough(pl.lit(before), rules)))
            points.append(
                other.select("spell", pl.lit(start).alias("at"), now.alias("on"), pl.lit("bound").alias("cause"))
            )
    return pieces(pl.concat(points), latched)


def _enough(bound: pl.Expr, rules: CartRules) -> pl.Expr:
    """True from the bound on, false below the kept share of it, null between."""
    enough, little = pl.col("value") >= bound, pl.col("value") * 100 < bound * rules.keep
    return pl.when(enough).then(True).when(little).then(False)


def scarce(found: Spells, line: Timeline, rules: CartRules, presence: pl.DataFrame, span: Span) -> CartPieces:
    """Pieces of the cohort with a scarce product: set at each silence, cleared after a quiet time."""
    latched = latch(found, line, "scarce")
    moments = found.rows.filter(pl.col("silent_at").is_not_null()).join(
        latched.filter(pl.col("exit_at") > 0).select("spell", "exit_at"), on="spell"
    )
    # Activity at the very moment of silence counts; what emptied the cart then is an exit and was filtered out.
    newest = pl.when(pl.col("until") == pl.col("silent_at")).then("until").otherwise("at").alias("seen_at")
    moments = moments.filter(pl.col("silent_at") < pl.col("exit_at")).select(
        "spell", newest, pl.col("silent_at").alias("at")
    )
    entries = scarce_at(presence, moments).select("spell", "at").unique()
    candidates = pl.concat([entries.select("spell"), latched.filter("was_on").select("spell")]).unique()
    carried = line.held.filter(pl.col("scarce") & pl.col("quiet_since").is_not_null())
    since = carried.join(found.spells.select("spell", "cart"), on="cart").join(
        latched.filter("was_on"), on="spell", how="semi"
    )
    own = presence.join(candidates, on="spell", how="semi")
    before = since.select("spell", pl.col("quiet_since").alias("at"))
    exits = quiet_points(own, before, rules.quiet, span.start).filter(pl.col("at") < span.end)
    points = pl.concat(
        [
            entries.with_columns(pl.lit(True).alias("on"), pl.lit("silence").alias("cause")),
            exits.with_columns(pl.lit(False).alias("on"), pl.lit("stock").alias("cause")),
        ]
    )
    return CartPieces(pieces(points, latched), quiet_at_ends(own, before, span))


def cart_pieces(
    found: Spells, line: Timeline, rules: CartRules, presence: pl.DataFrame, bounds: Sequence[int], span: Span
) -> CartPieces:
    """Pieces of every cart cohort that there is."""
    parts = {rules.abandoned: abandoned(found)}
    quiet = pl.DataFrame(schema={"spell": pl.Int64, "day": pl.Int64, "quiet_since": pl.Int64})
    if rules.valuable:
        parts[rules.valuable] = valuable(found, line, rules, bounds, span)
    if rules.scarce:
        result = scarce(found, line, rules, presence, span)
        parts[rules.scarce], quiet = result.pieces, result.quiet
    place = {key: number for number, key in enumerate(rules.ids)}
    rows = [part.select(pl.lit(place[key], pl.Int64).alias("cohort"), pl.all()) for key, part in parts.items()]
    return CartPieces(pl.concat(rows), quiet)
