"""What must hold of the entity tables after they were published: counts add up, ids are unique, nobody is named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from pipelines.config import Tenant
from pipelines.entities import accounts, dimension_accounts, erasures, groups
from pipelines.entities.dated import winners
from pipelines.entities.stock import stock_in_products
from pipelines.landing import store
from pipelines.landing.contacts import PICTURE
from pipelines.step import Check, CheckResult
from pipelines.storage.hashing import subject_key
from schemas.entities import ENTITIES, Entity
from schemas.registry import LAKE

#: Rows of a table, or of one day of it, that the personal data check looks at.
SAMPLE = 20_000
EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}"
PHONE = r"\+44[ ()-]*\d(?:[ ()-]*\d){8,}"


def one_row_per_id(table: str) -> Check:
    """A check that an id stands on one day only: on a day on which it landed, and of several the one that won.

    What other days hold is not looked at: one that a row has left since shows it until it is computed again.
    """
    says = "a row stands on the day of the newest version of its id, and on no other"

    def run(tenant: Tenant, days: Sequence[date]) -> CheckResult:
        counts = tenant.lake.rows(table)
        wanted = [day for day in days or tenant.lake.days(table) if counts.get(day)]
        misplaced = _misplaced(tenant, ENTITIES[table], wanted)
        evidence: dict[str, int | str] = {"rows": sum(counts[day] for day in wanted), "misplaced": misplaced}
        return CheckResult(f"{table}_one_row_per_id", misplaced == 0, says, evidence)

    return Check(table, f"{table}_one_row_per_id", "An id has one row on all days together.", run)


def _misplaced(tenant: Tenant, entity: Entity, days: Sequence[date]) -> int:
    """Rows of the days that do not belong there; what was received is read of these days only."""
    extra = stock_in_products(tenant) if entity.name == "stock_levels" else None
    inside = None if extra is None else extra.filter(pl.col("date").is_in(list(days)))
    several, won = winners(tenant, entity, days, inside)
    newest = won.select("date", subject_key("external_id").alias("id_key"))
    count = 0
    for day in days:
        landed = [store.scan(tenant, entity.name, [day]), *([] if inside is None else [inside.lazy()])]
        alone = pl.concat([rows.filter(pl.col("date") == day).select("id_key") for rows in landed])
        right = [alone.join(several.lazy(), on="id_key", how="anti"), newest.lazy().filter(pl.col("date") == day)]
        allowed = pl.concat([rows.select("id_key") for rows in right])
        published = tenant.lake.scan(entity.name, [day]).select(subject_key("external_id").alias("id_key"))
        count += published.join(allowed, on="id_key", how="anti").select(pl.len()).collect(engine="streaming").item()
    return count


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
    *dimension_accounts.CHECKS,
    erasures.CHECK,
    *groups.CHECKS,
    *(one_row_per_id(name) for name, entity in ENTITIES.items() if entity.partitioned),
    *(no_personal_data(name) for name in ENTITIES),
    Check("customer_merges", "merges_end", "Nobody is merged in a circle.", merges_end, blocking=False),
)
