"""Membership rows of each day: who is in at its end, with the cart that shows it, and who left on it."""

from __future__ import annotations

import polars as pl

from pipelines.cohorts.cart_context import NOTHING, listed
from pipelines.cohorts.cart_state import INF, MEMBERS
from pipelines.cohorts.catalogue import CartRules
from pipelines.cohorts.scarce_products import scarce_at_ends
from pipelines.cohorts.span import Span
from pipelines.cohorts.spells import Spells


def going(parts: pl.DataFrame, found: Spells, quiet: pl.DataFrame, rules: CartRules, span: Span) -> pl.DataFrame:
    """Pieces that go on at the end of a day.

    Args:
        parts: pieces of carts with the ``piece`` of the visitor that they are a part of.
        found: the days' spells.
        quiet: ``spell``, ``day``, ``quiet_since``, for the scarce cohort.
        rules: ttl and quiet time.
        span: the days.

    Returns:
        ``piece``, ``day``, ``spell``, ``row`` (of the cart with the newest activity; ties by cart), ``seen_at`` and
        ``expires_at``, once for each piece and day.
    """
    same = (pl.col("spell") == pl.col("spell").shift(-1)).fill_null(False)
    following = pl.when(same).then(pl.col("at").shift(-1)).otherwise(INF)
    rows = found.rows.select("spell", "row", "at", following.alias("following"))
    # Few instants are the newest at the end of a day; only those are paired with pieces.
    last = rows.filter(span.place(rows["at"]) < span.place(rows["following"]))
    pairs = parts.select("piece", "cohort", "spell", "cart", "start", "end").join(last, on="spell")
    pairs = pairs.with_columns(
        pl.max_horizontal("start", "at").alias("after"), pl.min_horizontal("end", "following").alias("until")
    )
    seen = span.across(pairs.drop("start", "end", "following"), "after", "until").rename({"at": "seen_at"})
    return _newest(_expiring(seen, quiet, rules), len(span.days))


def _expiring(seen: pl.DataFrame, quiet: pl.DataFrame, rules: CartRules) -> pl.DataFrame:
    expiry = pl.col("seen_at") + rules.ttl
    scarce = pl.col("cohort") == rules.place(rules.scarce)
    plain = seen.filter(~scarce).with_columns(expiry.alias("expires_at"))
    quieting = seen.filter(scarce).join(quiet, on=["spell", "day"], how="left")
    quieting = quieting.with_columns(
        pl.min_horizontal(expiry, pl.col("quiet_since") + rules.quiet).alias("expires_at")
    ).drop("quiet_since")
    return pl.concat([plain, quieting])


def _newest(seen: pl.DataFrame, days: int) -> pl.DataFrame:
    columns = ["piece", "day", "spell", "row", "seen_at", "expires_at"]
    keyed = seen.with_columns((pl.col("piece") * days + pl.col("day")).alias("key"))
    repeated = keyed["key"].is_duplicated()
    alone, many = keyed.filter(~repeated), keyed.filter(repeated)
    newest = many.sort("key", "seen_at", "cart", descending=[False, True, False]).unique(
        "key", keep="first", maintain_order=True
    )
    # The piece lasts as long as the last of its carts.
    latest = many.group_by("key").agg(pl.col("expires_at").max())
    newest = newest.drop("expires_at").join(latest, on="key")
    return pl.concat([alone.select(columns), newest.select(columns)])


def members(
    merged: pl.DataFrame,
    stays: pl.DataFrame,
    moved: pl.DataFrame,
    rows: pl.DataFrame,
    held: pl.DataFrame,
    presence: pl.DataFrame,
    span: Span,
) -> list[pl.DataFrame]:
    """Rows of each day with the columns of ``MEMBERS``.

    Args:
        merged: pieces of visitors with their ids, sorted by ``piece``.
        stays: what ``going`` gave.
        moved: transitions with ``piece``, ``direction``, ``day`` and the context.
        rows: open instants.
        held: what ``contents`` gave.
        presence: what ``scarce_presence`` gave.
        span: the days.
    """
    low = listed(scarce_at_ends(presence, span), ["spell", "day"])
    shown = rows.select("row").join(held, on="row", how="left", maintain_order="left")
    left = _leavers(merged, moved, span)
    found = []
    for place in range(len(span.days)):
        today = stays.filter(pl.col("day") == place)
        scarce = low.filter(pl.col("day") == place).drop("day")
        inside = _inside(merged, today.join(scarce, on="spell", how="left"), shown)
        found.append(pl.concat([inside, left.filter(pl.col("day") == place).select(list(MEMBERS))]))
    return found


def _inside(merged: pl.DataFrame, today: pl.DataFrame, shown: pl.DataFrame) -> pl.DataFrame:
    who = merged.select("visitor", "cohort_id", "subject", "membership_key", "entered_at")[today["piece"]]
    cart = shown.select("total", "currency", "product_ids")[today["row"]]
    table = pl.concat([today.drop("row"), who, cart], how="horizontal")
    return table.with_columns(
        pl.lit(True).alias("is_member"),
        pl.max_horizontal("entered_at", "seen_at").alias("updated_at"),
        pl.col("total").alias("cart_total_value_minor"),
        pl.col("product_ids").alias("cart_product_ids"),
        pl.col("low_stock_product_ids").fill_null(NOTHING),
    ).select(list(MEMBERS))


def _leavers(merged: pl.DataFrame, moved: pl.DataFrame, span: Span) -> pl.DataFrame:
    """Visitors who left on a day and did not come back on it."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in ("cohort", "owner")).fill_null(False)
    returns = merged.select(pl.when(same).then(pl.col("start").shift(-1)).otherwise(INF)).to_series()
    placed = merged.with_columns(span.place(returns).alias("returns_on"), span.place(merged["end"]).alias("day"))
    gone = placed.filter((pl.col("end") < INF) & (pl.col("day") < pl.col("returns_on")))
    context = moved.filter(pl.col("direction") == "exited").drop("cohort_id", "subject", "day", "at")
    rows = gone.join(context, on="piece", how="left")
    end = pl.col("end")
    return rows.with_columns(pl.lit(False).alias("is_member"), end.alias("expires_at"), end.alias("updated_at"))
