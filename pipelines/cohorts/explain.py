"""Why a subject is in a cohort at the end of a day, with the evidence; or what is missing first."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl

from pipelines.calendar import Day, days_between
from pipelines.cohorts.catalogue import cart_rules, cohorts
from pipelines.cohorts.language.rules import All, Cohort, Member
from pipelines.cohorts.language.words import in_words
from pipelines.cohorts.streams.customers import order_rows
from pipelines.config import Tenant
from pipelines.entities.merges import holder_at
from pipelines.signals.units import DAY


def explain(tenant: Tenant, cohort: Cohort, subject: str, day: Day) -> dict[str, Any]:
    """Explain the membership of one subject.

    Returns:
        ``cohort_id``, ``subject``, ``as_of``, ``rule`` in words, ``definition_version``, ``is_member``, ``entered_at``,
        ``expires_at``, ``missing`` (for a non-member the first thing), ``evidence``: rows with ``kind``, ``id`` and
        ``at``.
    """
    rows = tenant.lake.scan("cohort_membership", [day.date]).filter(
        (pl.col("cohort_id") == cohort.id)
        & (pl.col("definition_version") == cohort.definition_version)
        & (pl.col("subject") == subject)
    )
    found = rows.collect().to_dicts()
    row = found[0] if found else None
    member = bool(row and row["is_member"])
    evidence = _orders(tenant, cohort, subject, day) if cohort.subject == "customer" else _steps(tenant, subject, day)
    return {
        "cohort_id": cohort.id,
        "subject": subject,
        "as_of": day.end,
        "rule": in_words(cohort),
        "definition_version": cohort.definition_version,
        "is_member": member,
        "entered_at": row["entered_at"] if row else None,
        "expires_at": row["expires_at"] if row else None,
        "missing": None if member else _missing(tenant, cohort, subject, day, row, evidence),
        "evidence": evidence,
    }


def _steps(tenant: Tenant, subject: str, day: Day) -> list[dict[str, Any]]:
    """Cart steps and orders of a visitor within the ttl before the end of the day, oldest first."""
    rules = cart_rules(cohorts(tenant))
    ttl = rules.ttl if rules else DAY
    days = days_between(day.date - timedelta(microseconds=ttl) - timedelta(days=1), day.date)
    steps = tenant.lake.scan("cart_activity", days).select(
        pl.col("step").alias("kind"),
        pl.col("event_id").alias("id"),
        "occurred_at",
        "flockr_vid",
        "cart_key",
        "product_id",
    )
    orders = tenant.lake.scan("visitor_orders", days).select(
        pl.lit("order").alias("kind"),
        pl.col("order_id").alias("id"),
        pl.col("ordered_at").alias("occurred_at"),
        "flockr_vid",
    )
    rows = pl.concat([steps, orders], how="diagonal").filter(pl.col("flockr_vid") == subject)
    shown = rows.sort("occurred_at", "kind", "id").drop("flockr_vid").rename({"occurred_at": "at"})
    return shown.collect().to_dicts()


def _orders(tenant: Tenant, cohort: Cohort, subject: str, day: Day) -> list[dict[str, Any]]:
    """Sales of a customer and the returns against them before the end of the day, oldest first."""
    merges = tenant.lake.read("customer_merges")
    rows = holder_at(
        order_rows(tenant.lake, day).with_columns(pl.lit(day.end).alias("as_of")), merges, instant="as_of"
    ).drop("as_of")
    own = rows.filter((pl.col("kind") == "sale") & (pl.col("customer_id") == subject))["order_id"]
    shown = rows.filter(pl.col("sale_id").is_in(own.implode()) | pl.col("order_id").is_in(own.implode()))
    instant = pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC")
    return shown.sort("at", "order_id").select("kind", pl.col("order_id").alias("id"), instant.alias("at")).to_dicts()


def _missing(
    tenant: Tenant, cohort: Cohort, subject: str, day: Day, row: dict[str, Any] | None, evidence: list[dict[str, Any]]
) -> str:
    if not evidence:
        return "an order" if cohort.subject == "customer" else "any cart activity within the ttl"
    if row is not None:
        return f"it ended at {row['expires_at']:%Y-%m-%dT%H:%M:%SZ}: {_exit_cause(tenant, cohort, subject, day.date)}"
    if cohort.subject == "customer":
        last = max(each["at"] for each in evidence)
        return f"a longer absence: the last order or return was {(day.end - last).days} days before"
    parent = cohort.rule.all[0] if isinstance(cohort.rule, All) else None
    if cohort.of_cart and isinstance(parent, Member) and _in_parent(tenant, parent.cohort, subject, day.date):
        return "the second part of the rule; the cart is abandoned"
    last = max(each["at"] for each in evidence)
    return f"an open cart without an order for long enough; the last step or order was at {last:%Y-%m-%dT%H:%M:%SZ}"


def _in_parent(tenant: Tenant, cohort_id: str, subject: str, day: date) -> bool:
    rows = tenant.lake.scan("cohort_membership", [day]).filter(
        (pl.col("cohort_id") == cohort_id) & (pl.col("subject") == subject) & pl.col("is_member")
    )
    return not rows.head(1).collect().is_empty()


def _exit_cause(tenant: Tenant, cohort: Cohort, subject: str, day: date) -> str:
    rows = tenant.lake.scan("cohort_transitions", [day]).filter(
        (pl.col("cohort_id") == cohort.id) & (pl.col("subject") == subject) & (pl.col("direction") == "exited")
    )
    causes = rows.sort("effective_at").select("caused_by").collect()["caused_by"]
    return str(causes[-1]) if causes.len() else "unknown"
