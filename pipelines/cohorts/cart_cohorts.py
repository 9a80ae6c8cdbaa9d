"""The three cart cohorts of a day as pieces of membership per spell of a cart."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_timeline import Timeline
from pipelines.cohorts.catalogue import CartRules
from pipelines.cohorts.latches import pieces
from pipelines.cohorts.scarce_products import quiet_points, scarce_at
from pipelines.cohorts.spells import Spells


@dataclass(frozen=True)
class CartPieces:
    """Pieces of all cart cohorts.

    Attributes:
        pieces: ``cohort`` (place in ``CartRules.ids``), ``spell``, ``start``, ``end``, ``start_cause``, ``end_cause``.
        quiet: ``spell``, ``quiet_since`` for spells that may be in the scarce cohort.
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


def valuable(found: Spells, line: Timeline, rules: CartRules, bound: int, start: int) -> pl.DataFrame:
    """Pieces of the cohort with a value bound: compared when the cart is abandoned, changes, or the day begins."""
    latched = latch(found, line, "valuable")
    rows = found.rows.join(latched.select("spell", "abandoned_at", "was_abandoned"), on="spell")
    seen = rows.filter((pl.col("until") > pl.col("abandoned_at")) & (pl.col("until") > start))
    at = pl.max_horizontal("at", "abandoned_at", start)
    cause = (
        pl.when(at == pl.col("abandoned_at"))
        .then(pl.lit("silence"))
        .when("carried")
        .then(pl.lit("bound"))
        .otherwise(pl.lit("cart_changed"))
    )
    enough, little = pl.col("value") >= bound, pl.col("value") * 100 < bound * rules.keep
    points = seen.select(
        "spell", at.alias("at"), pl.when(enough).then(True).when(little).then(False).alias("on"), cause.alias("cause")
    )
    return pieces(points, latched)


def scarce(found: Spells, line: Timeline, rules: CartRules, presence: pl.DataFrame, start: int, end: int) -> CartPieces:
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
    exits, quiet = quiet_points(own, since.select("spell", pl.col("quiet_since").alias("at")), rules.quiet, start)
    exits = exits.filter(pl.col("at") < end)
    points = pl.concat(
        [
            entries.with_columns(pl.lit(True).alias("on"), pl.lit("silence").alias("cause")),
            exits.with_columns(pl.lit(False).alias("on"), pl.lit("stock").alias("cause")),
        ]
    )
    return CartPieces(pieces(points, latched), quiet)


def cart_pieces(
    found: Spells,
    line: Timeline,
    rules: CartRules,
    presence: pl.DataFrame,
    bound: int,
    start: int,
    end: int,
) -> CartPieces:
    """Pieces of every cart cohort that there is."""
    parts = {rules.abandoned: abandoned(found)}
    quiet = pl.DataFrame(schema={"spell": pl.Int64, "quiet_since": pl.Int64})
    if rules.valuable:
        parts[rules.valuable] = valuable(found, line, rules, bound, start)
    if rules.scarce:
        result = scarce(found, line, rules, presence, start, end)
        parts[rules.scarce], quiet = result.pieces, result.quiet
    place = {key: number for number, key in enumerate(rules.ids)}
    rows = [part.select(pl.lit(place[key], pl.Int64).alias("cohort"), pl.all()) for key, part in parts.items()]
    return CartPieces(pl.concat(rows), quiet)
