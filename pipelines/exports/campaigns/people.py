"""Which customers the campaign files name: whoever an id, or the contact of an opt-out, stands for at the end of a day.

A merge counts from its instant on, also for what happened before it, and no more once it was taken back: the files are
of whole people as they are known at the end of the day, so that a person has one row in each campaign.
"""

from __future__ import annotations

import polars as pl

from pipelines.calendar import Day
from pipelines.entities.history import BEGINNING

_HASHES = ("contact_hash", "phone_hash")


def holders(merges: pl.DataFrame, day: Day) -> pl.DataFrame:
    """For whom each merged id stands at the end of a day: ``external_id`` and ``holder``.

    Args:
        merges: ``customer_merges``.
        day: a merge at its end is not yet one.
    """
    known = merges.filter(pl.col("effective_from") < day.end).sort("external_id", "effective_from")
    last = known.unique("external_id", keep="last", maintain_order=True)
    return last.select("external_id", holder="customer_id").filter(pl.col("external_id") != pl.col("holder"))


def held(frame: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """The frame with each ``customer_id`` replaced by the customer for whom it stands by ``holders``."""
    if standing.is_empty():
        return frame
    named = frame.join(standing, left_on="customer_id", right_on="external_id", how="left", maintain_order="left")
    return named.with_columns(pl.coalesce("holder", "customer_id").alias("customer_id")).select(frame.columns)


def contact_versions(customers: pl.LazyFrame, opt_outs: pl.DataFrame) -> pl.DataFrame:
    """When a customer had a contact that an opt-out names: external_id, hash, since, until (null: still).

    Args:
        customers: ``customers_history``; as with every attribute the first version holds from the beginning.
        opt_outs: ``opt_outs_history``.
    """
    wanted = opt_outs.filter(pl.col("customer_id").is_null())["contact_hash"].drop_nulls().unique()
    first = pl.col("effective_from") == pl.col("effective_from").min().over("external_id")
    lasting = (pl.col("effective_to") > pl.col("effective_from")).fill_null(True) & ~pl.col("is_deleted")
    beginning = pl.lit(BEGINNING).cast(pl.Datetime("us", "UTC"))
    seen = customers.select("external_id", "effective_from", "effective_to", "is_deleted", *_HASHES).with_columns(
        pl.when(first).then(beginning).otherwise("effective_from").alias("since")
    )
    versions = seen.filter(lasting).select(
        "external_id", "since", until="effective_to", hash=pl.concat_list(_HASHES).list.unique()
    )
    return versions.explode("hash").filter(pl.col("hash").is_in(wanted.implode())).collect()


def of_contacts(opt_outs: pl.DataFrame, versions: pl.DataFrame, standing: pl.DataFrame, day: Day) -> pl.DataFrame:
    """The customers of opt-outs that name a contact: ``opt_out`` and ``customer_id``, one row for each of them.

    Those who had the contact when it happened; else the first who had it afterwards, before the end of the day.

    Args:
        opt_outs: with ``external_id``, ``customer_id``, ``contact_hash`` and ``occurred_at``.
        versions: of ``contact_versions``.
        standing: of ``holders``.
        day: the day of the files.
    """
    asked = opt_outs.filter(pl.col("customer_id").is_null()).select(
        "occurred_at", "contact_hash", opt_out="external_id"
    )
    found = asked.join(versions, left_on="contact_hash", right_on="hash").filter(pl.col("since") < day.end)
    had = (pl.col("since") < pl.col("occurred_at")) & (pl.col("until") >= pl.col("occurred_at")).fill_null(True)
    later = pl.col("since") >= pl.col("occurred_at")
    at_once = found.filter(had)
    then = found.filter(later).join(at_once, on="opt_out", how="anti")
    then = then.filter(pl.col("since") == pl.col("since").min().over("opt_out"))
    both = pl.concat([at_once, then]).select("opt_out", customer_id="external_id")
    return held(both, standing).unique().sort("opt_out", "customer_id")
