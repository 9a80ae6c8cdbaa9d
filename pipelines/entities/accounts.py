"""Checks that every received row is accounted for: by batch, by tenant day, and down to the rows of the tables.

Counts are taken from receipts, where landing put them; only ids with several versions are looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.carried import carried
from pipelines.entities.dated import winners
from pipelines.entities.ledgers import COUNTS
from pipelines.landing import quarantine, store
from pipelines.landing.days import computed_days
from pipelines.step import Check, CheckResult
from schemas.entities import ENTITIES

#: Days up to the newest one whose refused rows are looked at together.
RECENT = 7
#: Tables with days.
ACCOUNTED = ("customer_events", "transactions", "stock_levels")
_PARTS = pl.sum_horizontal(COUNTS[1:])


def counts_add_up(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """Every received row of every batch was accepted, a duplicate, superseded or quarantined; replays move these."""
    frame = tenant.lake.scan("batches").select("received", "replayed", "quarantined", explained=_PARTS).collect()
    moved = pl.col("replayed").fill_null(0)
    wrong = frame.filter((pl.col("received") != pl.col("explained")) | (moved > pl.col("quarantined"))).height
    return CheckResult(
        "counts_add_up",
        wrong == 0,
        "received = accepted + duplicate + superseded + quarantined, for every batch",
        {
            "batches": frame.height,
            "wrong": wrong,
            "received": int(frame.select((pl.col("received") - moved).sum()).item()),
        },
    )


def days_add_up(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """The counts of each batch and day add up in themselves, and to the counts of the batch."""
    parts = tenant.lake.scan("batch_partitions").collect()
    inside = parts.filter(pl.col("received") != _PARTS).height
    sums = parts.group_by("entity", "batch_id").agg(pl.col(COUNTS).sum())
    whole = tenant.lake.scan("batches").select("entity", "batch_id", *COUNTS).collect()
    # A batch of an earlier version has no days.
    both = whole.join(sums, on=["entity", "batch_id"], how="inner", suffix="_by_day")
    wrong = both.filter(pl.any_horizontal(pl.col(name) != pl.col(f"{name}_by_day") for name in COUNTS)).height
    return CheckResult(
        "days_add_up",
        wrong + inside == 0,
        "the counts of a batch are the sums of its days",
        {"batches": both.height, "days": parts.height, "wrong": wrong + inside},
    )


def messages_agree(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """No message id stands for two contents; says how often one does, by entity."""
    said = tenant.lake.scan("batches").group_by("entity").agg(pl.col("conflicting_messages").sum()).sort("entity")
    found = {name: int(count) for name, count in said.collect().iter_rows() if count}
    return CheckResult(
        "messages_agree",
        not found,
        "a message id that comes again says the same",
        {"conflicting": sum(found.values()), **found},
        blocking=False,
    )


def expected_rows(tenant: Tenant, name: str, days: Sequence[date]) -> dict[date, int]:
    """Rows that each day of a partitioned table must have, from the accounting of what was received.

    Of the versions stored on a day, those of ids with several versions leave, and the newest of these that stand on the
    day come back; a tombstone alone is no row. What came inside another entity counts as a version of its own.
    """
    stored = dict.fromkeys(days, 0)
    for receipt in store.committed(tenant, name):
        for partition in receipt.partitions:
            if partition.date in stored:
                stored[partition.date] += partition.accepted + partition.superseded
    inside = carried(tenant, name)
    inside = None if inside is None else inside.filter(pl.col("date").is_in(list(days)))
    several, won = winners(tenant, ENTITIES[name], days, inside)
    versions = store.scan(tenant, name, days).select("id_key", "date", "op")
    shared = versions.join(several.lazy(), on="id_key", how="semi")
    lone_tombstones = versions.filter(pl.col("op") == "delete").join(several.lazy(), on="id_key", how="anti")
    for frame, sign in ((shared, -1), (lone_tombstones, -1), (won.lazy(), 1)):
        counted = frame.group_by("date").agg(pl.len().cast(pl.Int64)).collect(engine="streaming")
        for day, rows in counted.iter_rows():
            if day in stored:
                stored[day] += sign * rows
    return stored


def rows_accounted_for(table: str) -> Check:
    """A check that a table's days hold the rows that the accounting says, no more and no fewer."""
    says = "rows of a day = versions stored on it - versions that a newer one replaced or that moved - tombstones"

    def run(tenant: Tenant, days: Sequence[date]) -> CheckResult:
        silent = [r for r in store.committed(tenant, table) if r.accepted + r.superseded and not r.partitions]
        if silent:
            return CheckResult(f"{table}_rows_accounted_for", True, says, {"batches_without_days": len(silent)}, False)
        expected = expected_rows(tenant, table, days)
        rows = tenant.lake.scan(table, days).group_by("date").agg(pl.len().cast(pl.Int64)).collect()
        found = {**dict.fromkeys(days, 0), **dict(rows.iter_rows())}
        wrong = sorted(day for day in days if expected[day] != found[day])
        evidence: dict[str, int | str] = {"rows": sum(found.values()), "expected": sum(expected.values())}
        if wrong:
            evidence["first_day"] = wrong[0].isoformat()
        # A batch that lands while this runs is counted before it is published, which is no reason to stop.
        return CheckResult(f"{table}_rows_accounted_for", not wrong, says, evidence, blocking=False)

    return Check(table, f"{table}_rows_accounted_for", f"{says[0].upper()}{says[1:]}.", run, blocking=False)


def few_refused(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """No more than the tenant's share of the newest days' rows is refused and waits; says by which reasons.

    A row that a replay has moved was received again, as a row of the batch that it moved to.
    """
    parts = tenant.lake.scan("batch_partitions").collect()
    refused = tenant.lake.scan("quarantine").select("entity", "batch_id", "line_no", "reason", "date").collect()
    moved = pl.concat([quarantine.moved(tenant, name) for name in ENTITIES])
    # A row far ahead of all others would leave nothing to look at.
    newest = max(computed_days(tenant), default=None)
    if newest:
        # Refused rows without a readable day belong to no newest days, but nobody must overlook them.
        since = newest - timedelta(days=RECENT)
        parts, refused = (
            frame.filter(pl.col(day).is_null() | (pl.col(day) > since))
            for frame, day in ((parts, "day"), (refused, "date"))
        )
    waiting = refused.join(moved, on=moved.columns, how="anti")
    replayed = refused.height - waiting.height
    received, quarantined = (int(parts[name].sum()) - replayed for name in ("received", "quarantined"))
    limit = tenant.config.max_quarantined_percent
    reasons = waiting.group_by("entity", "reason").agg(pl.len().cast(pl.Int64).alias("rows"))
    most = reasons.sort("rows", "entity", "reason", descending=[True, False, False]).head(10)
    named = {f"{row['entity']} {row['reason']}": row["rows"] for row in most.iter_rows(named=True)}
    return CheckResult(
        "few_refused",
        quarantined * 100 <= received * limit,
        f"at most {limit} % of the rows of the newest {RECENT} days are refused",
        {"received": received, "quarantined": quarantined, **named},
        blocking=False,
    )


CHECKS: tuple[Check, ...] = (
    Check("batches", "counts_add_up", "Received rows are accounted for, for every batch.", counts_add_up),
    Check("batch_partitions", "days_add_up", "Received rows are accounted for, for every day.", days_add_up),
    Check("batches", "messages_agree", "A message id that comes again says the same.", messages_agree, blocking=False),
    Check("quarantine", "few_refused", "Few of the newest rows are refused.", few_refused, blocking=False),
    *(rows_accounted_for(name) for name in ACCOUNTED),
)
