"""The facts of a day that are told, by family: transitions of cohorts, crossings of signals, changes of referrals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import polars as pl

from pipelines.cohorts import links
from pipelines.cohorts.history import official
from pipelines.cohorts.history.definitions import Timeline, timeline
from pipelines.config import Tenant
from pipelines.delivery.event_log import COHORTS, Family
from pipelines.delivery.payload import change_payload, crossing_payload
from pipelines.signals.catalogue import signals
from pipelines.visitor_signals.resolve import visitor_signals
from schemas.tables import REFERRAL_CHANGES, SIGNAL_CROSSINGS, VISITOR_SIGNAL_CROSSINGS

SOURCES = ("cohort_transitions", "signal_crossings", "visitor_signal_crossings", "referral_changes")

REFERRALS = Family(
    key="change_id", scope=None, kind=pl.col("kind"), payload=lambda rows: rows.with_columns(change_payload())
)


@dataclass(frozen=True)
class Facts:
    """What is true of a tenant's days; definitions and links are read once, when they are needed."""

    tenant: Tenant

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """Every family, in the order in which they are told."""
        crossings = Family(
            key="crossing_id",
            scope="signal_id",
            kind=pl.lit("signal.threshold_crossed"),
            payload=self._with_crossing,
            retracts={"signal.threshold_crossed": "signal.crossing_retracted"},
        )
        return COHORTS, crossings, REFERRALS

    def of(self, family: Family, day: date) -> pl.DataFrame:
        """The facts of a family and a day; a crossing that is held back is none."""
        if family.key == "transition_id":
            return official.transitions(self.tenant, day)
        if family.key == "crossing_id":
            return self._crossings(day)
        return _with_subject(self.tenant.lake.read(REFERRAL_CHANGES.name, [day]))

    def active(self, family: Family, day: date) -> Collection[str] | None:
        """Versions of the definitions that count on a day; None where none ever changed."""
        if family.key == "transition_id":
            return self._lines.active(day).values() if self._lines.changed else None
        return self._signals if family.scope else None

    def announced(self, family: Family, day: date) -> Collection[str]:
        """Definitions whose change on a day is to be sent."""
        return self._lines.announced(day) if family.caused_by and self._lines.changed else ()

    def newest(self) -> date | None:
        """The newest day of any source."""
        return max((day for name in SOURCES for day in self.tenant.lake.days(name)[-1:]), default=None)

    def _crossings(self, day: date) -> pl.DataFrame:
        lake, products, people = self.tenant.lake, SIGNAL_CROSSINGS.name, VISITOR_SIGNAL_CROSSINGS.name
        rows = pl.concat([lake.read(products, [day]), lake.read(people, [day])], how="diagonal")
        return rows.filter(pl.col("suppressed_by").is_null())

    def _with_crossing(self, rows: pl.DataFrame) -> pl.DataFrame:
        named = rows.with_columns(pl.col("effective_at").to_physical().alias("at"))
        parts = [
            links.linked_each(part, self._links[str(kind)])
            if kind in links.SIDES
            else part.with_columns(pl.lit(None, dtype=pl.String).alias("other"))
            for (kind,), part in named.group_by("subject_type", maintain_order=True)
        ]
        linked = pl.concat(parts) if parts else named.with_columns(pl.lit(None, dtype=pl.String).alias("other"))
        return linked.with_columns(crossing_payload()).drop("other", "at")

    @cached_property
    def _links(self) -> dict[str, pl.DataFrame]:
        lake = self.tenant.lake
        known = lake.scan("identity_links").select(
            "flockr_vid", "customer_id", pl.col("occurred_at").to_physical().alias("linked_at")
        )
        rows, merges = known.collect(), lake.read("customer_merges")
        return {"visitor": links.spans(rows, "visitor", merges), "customer": links.spans(rows, "customer", merges)}

    @cached_property
    def _lines(self) -> Timeline:
        return timeline(self.tenant)

    @cached_property
    def _signals(self) -> list[str]:
        products = [signal.definition_version for signal in signals(self.tenant).values()]
        return [*products, *(found.version for found in visitor_signals(self.tenant).values())]


def _with_subject(changes: pl.DataFrame) -> pl.DataFrame:
    """Whom a change is about: the customer who referred or was invited where known, else the thing itself."""
    people = (
        pl.when(pl.col("kind").str.starts_with("invitee."))
        .then("invitee_id")
        .when(~pl.col("kind").str.starts_with("campaign."))
        .then("referrer_id")
    )
    known = people.is_not_null()
    return changes.with_columns(
        pl.when(known).then(pl.lit("customer")).otherwise("entity").alias("subject_type"),
        pl.when(known).then(people).otherwise("entity_id").alias("subject"),
    )
