"""What must hold of the entity tables after they were published: counts add up, ids are unique, nobody is named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.config import Tenant
from pipelines.entities import accounts, groups
from pipelines.landing.contacts import PICTURE
from pipelines.step import Check, CheckResult
from pipelines.storage.hashing import subject_key
from schemas.entities import ENTITIES
from schemas.registry import LAKE

#: Rows of a table, or of one day of it, that the personal data check looks at.
SAMPLE = 20_000
EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}"
PHONE = r"\+44[ ()-]*\d(?:[ ()-]*\d){8,}"


def one_row_per_id(table: str) -> Check:
    """A check that an id stands on one day only.

    Days after the last one computed are left out: a row that moved to an earlier day stands there too until they run.
    """

    def run(tenant: Tenant, days: Sequence[date]) -> CheckResult:
        rows, distinct = _rows_and_ids(tenant, table, days, subject_key("external_id"))
        if rows != distinct:
            # Keys are a fifth of the memory of ids; two ids that share one are told apart before anybody is alarmed.
            rows, distinct = _rows_and_ids(tenant, table, days, pl.col("external_id"))
        return CheckResult(
            f"{table}_one_row_per_id",
            rows == distinct,
            "an id has one row on all days",
            {"rows": rows, "ids": distinct},
        )

    return Check(table, f"{table}_one_row_per_id", "An id has one row on all days together.", run)


def _rows_and_ids(tenant: Tenant, table: str, days: Sequence[date], key: pl.Expr) -> tuple[int, int]:
    known = pl.col("date") <= max(days) if days else pl.lit(True)
    ids = tenant.lake.scan(table).filter(known).select(key.alias("key"))
    counts = ids.select(pl.len().alias("rows"), pl.col("key").n_unique().alias("ids"))
    rows, distinct = counts.collect(engine="streaming").row(0)
    return int(rows), int(distinct)


def looks_personal(text: pl.Expr) -> pl.Expr:
    """Whether a text holds what looks like a contact detail."""
    return text.str.replace_all(PICTURE, "").str.contains(f"{EMAIL}|{PHONE}")


def no_personal_data(table: str) -> Check:
    """A check that a table has no column for personal data and no value that looks like a contact detail."""
    entity = ENTITIES[table]

    def run(tenant: Tenant, days: Sequence[date]) -> CheckResult:
        columns = [name for name in entity.personal if name in LAKE[table]]
        rows = tenant.lake.scan(table, days if entity.partitioned else None)
        texts = [column.name for column in LAKE[table] if column.kind in ("string", "json")]
        looks = [looks_personal(pl.col(name)).sum().cast(pl.Int64).alias(name) for name in texts]
        found = rows.select(texts).head(SAMPLE).select(looks).collect().row(0, named=True)
        suspects = {name: int(count) for name, count in found.items() if count}
        return CheckResult(
            f"{table}_no_personal_data",
            not columns and not suspects,
            "no column and no value that identifies a person",
            {"columns": len(columns), **suspects},
        )

    return Check(table, f"{table}_no_personal_data", "No column and no value that identifies a person.", run)


def merges_end(tenant: Tenant, days: Sequence[date]) -> CheckResult:
    """Nobody was merged in a circle; where somebody was, the least id of the circle stands for all."""
    circular = tenant.lake.scan("customer_merges").filter("is_circular").select("external_id").collect()
    return CheckResult(
        "merges_end",
        circular.is_empty(),
        "no chain of merged customers leads back to itself",
        {"customers": circular["external_id"].n_unique()},
        blocking=False,
    )


CHECKS: tuple[Check, ...] = (
    *accounts.CHECKS,
    *groups.CHECKS,
    *(one_row_per_id(name) for name, entity in ENTITIES.items() if entity.partitioned),
    *(no_personal_data(name) for name in ENTITIES),
    Check("customer_merges", "merges_end", "Nobody is merged in a circle.", merges_end, blocking=False),
)
