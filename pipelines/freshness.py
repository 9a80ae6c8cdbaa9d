"""Which days of a step are out of date: a fingerprint of each day's inputs, compared with the one it was made from.

A fingerprint covers the partitions that the day reads, the versions of reference data valid by its end, the
references that its rows wait for, and the meaning of the step. So a price that changes today leaves old days alone, a
late row makes its own day stale, and a late product exactly the days that named it. Steps that carry state chain the
fingerprints, which makes every later day stale as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cached_property

import polars as pl

from pipelines.calendar import days_between, local_date
from pipelines.config import Tenant
from pipelines.facts.cross_day import cross_day_orders
from pipelines.facts.early import early_clicks, early_prices
from pipelines.facts.merged import merged_customers
from pipelines.facts.places import tenant_containment
from pipelines.landing import store
from pipelines.step import Step
from pipelines.storage.durable import write_bytes
from pipelines.storage.hashing import logical_sha256, subject_key
from schemas.entities import ENTITIES
from schemas.registry import DIMENSIONS, LAKE

#: Entities whose rows make a day exist.
DATED = tuple(entity.name for entity in ENTITIES.values() if entity.partitioned)
_WHOLE = ""
#: Tables of latest rows that steps read: the instant from which a row matters, and what it says then.
_CLOCKS = {
    "identity_links": ("occurred_at", "external_id", "flockr_vid", "customer_id"),
    "products": ("first_published_at", "external_id"),
    "customer_merges": ("effective_from", "external_id", "customer_id"),
}
_EARLY = {"event_facts": early_prices, "campaign_files": early_clicks}


class Freshness:
    """Fingerprints of one tenant's inputs, read once; make a new one after anything was published.

    Args:
        tenant: whose inputs and ledger.
    """

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._files: dict[str, dict[date | None, str]] = {}
        self._prefixes: dict[str, dict[date, str]] = {}

    def available_days(self) -> list[date]:
        """Every tenant day from the first to the last on which a record falls."""
        found = sorted({day for entity in DATED for day in store.dates(self.tenant, entity)})
        return days_between(found[0], found[-1]) if found else []

    def stale(self, step: Step, days: Sequence[date]) -> list[date]:
        """Days among ``days`` whose inputs differ from the ones they were made from, sorted.

        For a step without partitions the answer is ``days`` or nothing.
        """
        recorded = self._recorded(step)
        current = self.fingerprints(step, days)
        if not step.partitioned:
            return list(days) if recorded != current else []
        return [day for day in sorted(days) if recorded.get(day.isoformat()) != current[day.isoformat()]]

    def computed_days(self, step: Step) -> list[date]:
        """Days of a step with partitions that were computed at least once, sorted."""
        return sorted(date.fromisoformat(day) for day in self._recorded(step) if day != _WHOLE)

    def fingerprints(self, step: Step, days: Sequence[date]) -> dict[str, str]:
        """Fingerprint of the inputs of each day, by ISO date; one entry with an empty key without partitions."""
        if not step.partitioned:
            return {_WHOLE: _hash(step.code_version, *self._unpartitioned(step))}
        if step.carries_state:
            return self._chained(step, days)
        return {day.isoformat(): self._of_day(step, day) for day in days}

    def record(self, step: Step, fingerprints: dict[str, str]) -> None:
        """Remember what the days were made from."""
        merged = {**(self._recorded(step) if step.partitioned else {}), **fingerprints}
        data = json.dumps(merged, sort_keys=True, separators=(",", ":")).encode()
        write_bytes(self.tenant.state / "made_from" / f"{step.name}.json", data)

    def _recorded(self, step: Step) -> dict[str, str]:
        file = self.tenant.state / "made_from" / f"{step.name}.json"
        # A table that was removed by hand is to be made again, whatever was remembered of it.
        if not file.is_file() or any(name in LAKE and not self.tenant.lake.exists(name) for name in step.outputs):
            return {}
        recorded: dict[str, str] = json.loads(file.read_text())
        return recorded

    def _unpartitioned(self, step: Step) -> Iterable[str]:
        for name in ENTITIES:
            yield store.fingerprint(self.tenant, name)
        for name in step.inputs:
            yield repr(sorted(self._table_files(name).items(), key=str))

    def _of_day(self, step: Step, day: date) -> str:
        parts = [step.code_version, self._definitions(step)]
        if step.group == "entities":
            return _hash(*parts, *self._entity_inputs(step.outputs[0], day))
        if step.name == "order_facts":
            spans = self._cross_day_orders.get(day)
            # The event's day decides whose visitor it was, also when it is the later one.
            parts += (
                []
                if spans is None
                else [str(spans), *(repr(self._table_files(name)) for name in ("identity_links", "customer_merges"))]
            )
        parts += [self._of_input(step, name, day) for name in step.inputs if name in LAKE]
        parts += [self._early(step.name).get(day, ""), self._waiting.get(day, "")]
        return _hash(*parts)

    def _of_input(self, step: Step, name: str, day: date) -> str:
        if LAKE[name].partitioned:
            return self._table_files(name).get(day, "-")
        if name == "customer_merges" and step.group == "facts":
            return self._merged.get(day, "")
        if name in _CLOCKS:
            return self._prefix(name).get(day, "")
        if name in ("groups", "outlets"):
            # Who holds whom is taken as it is now, for every day.
            return self._containment
        dimension = name.removesuffix("_history")
        return self._prefix(f"{dimension}_history").get(day, "") if dimension in DIMENSIONS else ""

    def _early(self, step: str) -> dict[date, str]:
        """By day: versions that hold from before their own instant, since rows of the day name them so early."""
        key = f"early:{step}"
        if key not in self._prefixes and step in _EARLY:
            self._prefixes[key] = _EARLY[step](self.tenant)
        return self._prefixes.get(key, {})

    @cached_property
    def _containment(self) -> str:
        return logical_sha256(tenant_containment(self.tenant))

    def _entity_inputs(self, entity: str, day: date) -> Iterable[str]:
        yield self._landed(entity).get(day, "")
        if entity == "transactions":
            # An outlet's zone decides business dates, for all days when its first version arrives.
            yield repr(self._table_files("outlets_history"))
        if entity == "stock_levels":
            yield store.fingerprint(self.tenant, "products")

    @cached_property
    def _merged(self) -> dict[date, str]:
        return merged_customers(self.tenant)

    @cached_property
    def _cross_day_orders(self) -> dict[date, int]:
        return cross_day_orders(self.tenant)

    def _chained(self, step: Step, days: Sequence[date]) -> dict[str, str]:
        """Each day's fingerprint covers every day before it, from the first day with data."""
        wanted = set(days)
        chain, result = "", {}
        for day in [day for day in self.available_days() if wanted and day <= max(wanted)]:
            chain = _hash(chain, self._of_day(step, day))
            if day in wanted:
                result[day.isoformat()] = chain
        return {day.isoformat(): result.get(day.isoformat(), self._of_day(step, day)) for day in days}

    def _definitions(self, step: Step) -> str:
        """Catalogue overrides are part of the meaning of what is computed from definitions."""
        if step.group not in ("signals", "cohorts"):
            return ""
        files = sorted((self.tenant.folder / step.group).glob("*.yaml"))
        texts = [file.read_text(encoding="utf-8") for file in files]
        return _hash(json.dumps(self.tenant.config.parameters, sort_keys=True, default=str), *texts)

    def _table_files(self, name: str) -> dict[date | None, str]:
        if name not in self._files:
            self._files[name] = self.tenant.lake.files(name) if name in LAKE else {}
        return self._files[name]

    def _landed(self, entity: str) -> dict[date, str]:
        """By day: the batches with rows on it, and the repeats of ids that have a version on it."""
        key = f"landed:{entity}"
        if key not in self._prefixes:
            self._prefixes[key] = _landed_by_day(self.tenant, entity)
        return self._prefixes[key]

    def _prefix(self, history: str) -> dict[date, str]:
        """By day: hash of the versions of a dimension that were valid by the end of the day.

        Of a table of latest rows: hash of what had happened by the end of the day. A row that is withdrawn or moved is
        gone from the day on which it stood, which versions up to that day would not say.
        """
        if history not in self._prefixes:
            self._prefixes[history] = self._versions_by_day(history) if self.tenant.lake.exists(history) else {}
        return self._prefixes[history]

    def _versions_by_day(self, history: str) -> dict[date, str]:
        days = self.available_days()
        clock, *said = _CLOCKS.get(history, ("effective_from", "external_id", "version_hash"))
        rows = self.tenant.lake.scan(history).filter(pl.col(clock).is_not_null())
        texts = [pl.col(name).fill_null("") for name in said]
        versions = (
            rows.select(
                local_date(pl.col(clock), self.tenant.zone).alias("day"),
                pl.concat_str(*texts, pl.col(clock).to_physical(), separator="\x1f").alias("version"),
            )
            .with_columns(subject_key("version"))
            .group_by("day")
            .agg(pl.col("version").sum())
            .sort("day")
            .collect()
        )
        # A wrapping sum does not depend on order, so equal sets of versions have equal sums.
        cumulative = versions.select("day", pl.col("version").cum_sum())
        spine = pl.DataFrame({"day": days}, schema={"day": pl.Date})
        joined = spine.join_asof(cumulative, on="day").fill_null(0)
        return {day: str(total) for day, total in joined.iter_rows()}

    @cached_property
    def _waiting(self) -> dict[date, str]:
        """By day: hash of the references that its rows still wait for."""
        table = self.tenant.lake.scan("unresolved_references").filter(pl.col("date").is_not_null())
        by_day = (
            table.select("date", pl.concat_str("entity", "row_id", "field", "target_id").alias("reference"))
            .with_columns(subject_key("reference"))
            .group_by("date")
            .agg(pl.col("reference").sum())
            .collect()
        )
        return {day: str(total) for day, total in by_day.iter_rows()}


def _landed_by_day(tenant: Tenant, entity: str) -> dict[date, str]:
    rows = store.scan(tenant, entity).select("date", "id_key", "repeat", "order_at")
    moved = rows.filter(pl.col("repeat")).select("id_key").unique()
    weights = rows.with_columns((pl.col("id_key") ^ pl.col("order_at").to_physical()).alias("weight"))
    own = weights.group_by("date").agg(pl.col("weight").sum(), pl.len().cast(pl.Int64).alias("rows"))
    repeated = weights.join(moved, on="id_key", how="semi").collect()
    totals = repeated.group_by("id_key").agg(pl.col("weight").sum().alias("versions"))
    shared = (
        repeated.select("date", "id_key")
        .unique()
        .join(totals, on="id_key")
        .group_by("date")
        .agg(pl.col("versions").sum())
    )
    joined = own.collect().join(shared, on="date", how="left").fill_null(0).filter(pl.col("date").is_not_null())
    return {row["date"]: f"{row['weight']}:{row['rows']}:{row['versions']}" for row in joined.iter_rows(named=True)}


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
