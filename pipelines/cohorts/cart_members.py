"""Membership rows of each day: who is in at its end, with the cart that shows it, and who left on it."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Shown:
    """Where the columns of a row are looked up.

    Attributes:
        merged: pieces of visitors with their ids, sorted by ``piece``.
        rows: open instants.
        held: what ``contents`` gave.
        presence: what ``scarce_presence`` gave.
        links: ``owner``, ``day``, ``other``: links that hold at the end of a day.
    """

    merged: pl.DataFrame
    rows: pl.DataFrame
    held: pl.DataFrame
    presence: pl.DataFrame
    links: pl.DataFrame


def members(shown: Shown, stays: pl.DataFrame, moved: pl.DataFrame, span: Span) -> list[pl.DataFrame]:
    """Rows of each day with the columns of ``MEMBERS`` and ``other``, sorted by cohort and subject.

    Args:
        shown: where columns are looked up.
        stays: what ``going`` gave.
        moved: transitions with ``piece``, ``direction``, ``row`` and the context.
        span: the days.
    """
    days = len(span.days)
    key = (pl.col("spell") * days + pl.col("day")).alias("key")
    low = listed(scarce_at_ends(shown.presence, span).select(key, "product_id", "state"), "key")
    inside = stays.with_columns(key).join(low, on="key", how="left")
    contents = shown.rows.select("row").join(shown.held, on="row", how="left", maintain_order="left")
    table = pl.concat([inside.select(_COLUMNS), _leavers(shown.merged, moved, span).select(_COLUMNS)])
    found = []
    for place in range(days):
        links = shown.links.filter(pl.col("day") == place).drop("day")
        rows = _rows(shown.merged, table.filter(pl.col("day") == place).sort("piece"), contents)
        found.append(rows.join(links, on="owner", how="left", maintain_order="left").drop("owner"))
    return found


#: What is known of a row before its ids and contents are looked up by place; ``seen_at`` is null for those who left.
_COLUMNS = ["piece", "day", "row", "seen_at", "expires_at", "low_stock_product_ids"]


def _rows(merged: pl.DataFrame, today: pl.DataFrame, contents: pl.DataFrame) -> pl.DataFrame:
    ids = ("owner", "visitor", "cohort_id", "subject", "membership_key", "entered_at")
    who = merged.select(ids)[today["piece"]]
    cart = contents.select("total", "currency", "product_ids")[today["row"]]
    table = pl.concat([today.drop("row"), who, cart], how="horizontal")
    stays = pl.col("seen_at").is_not_null()
    return table.with_columns(
        stays.alias("is_member"),
        pl.when(stays).then(pl.max_horizontal("entered_at", "seen_at")).otherwise("expires_at").alias("updated_at"),
        pl.col("total").alias("cart_total_value_minor"),
        pl.col("product_ids").alias("cart_product_ids"),
        pl.col("low_stock_product_ids").fill_null(NOTHING),
    ).select("owner", *MEMBERS)


def _leavers(merged: pl.DataFrame, moved: pl.DataFrame, span: Span) -> pl.DataFrame:
    """Visitors who left on a day and did not come back on it; their row is that of the exit."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(-1) for name in ("cohort", "owner")).fill_null(False)
    returns = merged.select(pl.when(same).then(pl.col("start").shift(-1)).otherwise(INF)).to_series()
    placed = merged.select(
        "piece",
        pl.col("end").alias("expires_at"),
        span.place(returns).alias("returns_on"),
        span.place(merged["end"]).alias("day"),
        pl.lit(None, dtype=pl.Int64).alias("seen_at"),
    )
    gone = placed.filter((pl.col("expires_at") < INF) & (pl.col("day") < pl.col("returns_on")))
    shown = moved.filter(pl.col("direction") == "exited").select("piece", "row", "low_stock_product_ids")
    return gone.join(shown, on="piece", how="left")
