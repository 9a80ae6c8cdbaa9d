"""Fingerprints of the inputs of each day of a step, one text for each input.

A fingerprint covers the partitions that the day reads, the versions of reference data that its rows use or that are
valid by its end, the references that its rows wait for, the meaning of the step, and the state with which the day
begins. So a price that changes today leaves old days alone, a late row makes its own day stale, and a late product
exactly the days that named it. A later day becomes stale when the state before it does, which is known once the
day before has been computed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property, partial

import polars as pl

from pipelines import carry
from pipelines.calendar import local_date
from pipelines.config import Tenant
from pipelines.exports.ledgers import attempts_by_day, texts_by_day
from pipelines.facts.cross_day import cross_day_orders
from pipelines.facts.early import early_clicks, prices_used, publications
from pipelines.facts.links_used import links_of_clicks, links_used, merges_of_clicks
from pipelines.facts.merged import merged_customers
from pipelines.facts.places import tenant_containment
from pipelines.facts.values_used import (
    campaigns_of_clicks,
    categories_of_acts,
    categories_of_orders,
    kinds_of_outlets,
    lines_of_demand,
)
from pipelines.freshness import landed
from pipelines.freshness.defined import Defined
from pipelines.freshness.remembered import Texts, remembered
from pipelines.landing import store
from pipelines.landing.days import DATED, computed_days
from pipelines.landing.extracts import batch_files
from pipelines.signals import attributes
from pipelines.signals.inputs import online_outlet
from pipelines.step import Step
from pipelines.storage.durable import write_bytes
from pipelines.storage.hashing import logical_sha256, subject_key
from schemas.entities import ENTITIES
from schemas.registry import DIMENSIONS, LAKE

#: Fingerprint of one day: a text for each input, by its name.
Parts = dict[str, str]
WHOLE = ""
#: Parts that are no table.
DEFINITION, LANDED, STATE, REFERENCES = "definition", "landed", "state", "unresolved_references"
#: Before the name of an entity that rows of the day wait for.
WAITING = "waiting for "
#: Tables of latest rows that steps read: the instant from which a row matters, and what it says then.
_CLOCKS = {
    "identity_links": ("occurred_at", "external_id", "flockr_vid", "customer_id"),
    "products": ("first_published_at", "external_id"),
    "customer_merges": ("effective_from", "external_id", "customer_id"),
}
#: Tables of which the first day that names a product counts.
_NAMING_PRODUCTS = ("product_hourly", "product_daily", "stock_levels", "cart_activity", "visitor_purchases")
#: What rows of a day use of other tables, by the name under which the answer is kept: what it is made from, and how.
_USES: dict[str, tuple[tuple[str, ...], Callable[[Tenant], Texts]]] = {
    "prices_used": (("customer_events", "products_history"), prices_used),
    "categories_of_acts": (("customer_events", "products_history"), categories_of_acts),
    "categories_of_orders": (("customer_events", "transactions", "products_history"), categories_of_orders),
    "kinds_of_outlets": (("transactions", "outlets_history"), kinds_of_outlets),
    "lines_of_demand": (("order_lines",), lines_of_demand),
    "campaigns_of_clicks": (("customer_events", "links_history"), campaigns_of_clicks),
    "links_of_clicks": (("customer_merges", "identity_links", "customer_events"), links_of_clicks),
    "merges_of_clicks": (("customer_merges", "identity_links", "customer_events"), merges_of_clicks),
    "merged_customers": (("customer_merges", "customer_events", "transactions", "identity_links"), merged_customers),
    "publications": (("products", *_NAMING_PRODUCTS), publications),
    "attributes": (("products_history", *_NAMING_PRODUCTS), attributes.used),
    "early_clicks": (("customer_events", "links_history"), early_clicks),
    "links_of_days": (("identity_links",), texts_by_day("identity_links")),
    "refused_on_days": (("quarantine", "batches"), texts_by_day("quarantine")),
    "waiting_on_days": (("unresolved_references",), texts_by_day("unresolved_references")),
}
#: Steps and inputs of which a day asks no more than its rows use.
_USED_BY: dict[tuple[str, str], tuple[str, ...]] = {
    ("event_facts", "products_history"): ("prices_used", "categories_of_acts"),
    ("order_facts", "products_history"): ("categories_of_orders",),
    ("order_facts", "outlets_history"): ("kinds_of_outlets",),
    ("click_facts", "links_history"): ("campaigns_of_clicks",),
    ("click_facts", "identity_links"): ("links_of_clicks",),
    ("click_facts", "customer_merges"): ("merges_of_clicks",),
    ("ledger_exports", "identity_links"): ("links_of_days",),
    ("ledger_exports", "quarantine"): ("refused_on_days", "waiting_on_days"),
    ("product_facts", "order_lines"): ("lines_of_demand",),
    ("product_signals", "products"): ("publications",),
    ("product_signals", "products_history"): ("attributes",),
}
#: Steps that ask of identity links no more than the visitors of customers.
_SEEK_VISITORS = ("event_facts", "order_facts", "product_facts")
#: Stages whose days change when a reference of the day is resolved, whatever they read: a return finds its sale.
_WAIT = ("cohorts", "exports")
_SHOWN = 16


class Freshness:
    """Fingerprints of one tenant's inputs, read once; make a new one after anything was published.

    Args:
        tenant: whose inputs and ledger.
    """

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self._files: dict[str, dict[date | None, str]] = {}
        self._texts: dict[str, Texts] = {}
        self._lookback: dict[str, Mapping[str, int]] = {}

    def available_days(self) -> list[date]:
        """Every tenant day from the first to the last on which a record falls, far outliers left aside."""
        return computed_days(self.tenant)

    def anything_landed(self) -> bool:
        """Whether there is any batch, of whatever entity; reference data makes no day available."""
        return any(store.committed(self.tenant, name) for name in ENTITIES)

    def due(self, step: Step, days: Sequence[date]) -> bool:
        """Whether the step has something to compute; one without partitions may while there are no days."""
        return bool(self.stale(step, days)) if step.partitioned else self.recorded(step) != self.fingerprints(step, ())

    def stale(self, step: Step, days: Sequence[date]) -> list[date]:
        """Days among ``days`` whose inputs differ from the ones they were made from, sorted.

        For a step without partitions the answer is ``days`` or nothing. Of a step that carries state, days after a
        stale one may turn out to be stale as well once that one has been computed.
        """
        recorded = self.recorded(step)
        current = self.fingerprints(step, days)
        if not step.partitioned:
            return list(days) if recorded != current else []
        return [day for day in sorted(days) if recorded.get(day.isoformat()) != current[day.isoformat()]]

    def computed_days(self, step: Step) -> list[date]:
        """Days of a step with partitions that were computed at least once, sorted."""
        return sorted(date.fromisoformat(day) for day in self.recorded(step) if day != WHOLE)

    def fingerprints(self, step: Step, days: Sequence[date]) -> dict[str, Parts]:
        """Fingerprint of the inputs of each day, by ISO date; one entry with an empty key without partitions."""
        if not step.partitioned:
            return {WHOLE: {name: _short(text) for name, text in self._unpartitioned(step).items()}}
        if step.carries_state and step.advance is None:
            return self._chained(step, days)
        return {day.isoformat(): self._of_day(step, day) for day in days}

    def record(self, step: Step, fingerprints: dict[str, Parts]) -> None:
        """Remember what the days were made from."""
        if step.advance is not None:
            # The state before a day is what the run has just found it to be, unlike its inputs, which it may have
            # seen newer than they were taken.
            states = carry.states(self.tenant, step.name)
            for day, parts in fingerprints.items():
                parts[STATE] = states.get(date.fromisoformat(day), "")
        merged = {**(self.recorded(step) if step.partitioned else {}), **fingerprints}
        data = json.dumps(merged, sort_keys=True, separators=(",", ":")).encode()
        write_bytes(self.tenant.state / "made_from" / f"{step.name}.json", data)

    def recorded(self, step: Step) -> dict[str, Parts]:
        """What the days were made from, by ISO date."""
        file = self.tenant.state / "made_from" / f"{step.name}.json"
        # A table that was removed by hand is to be made again, whatever was remembered of it.
        if not file.is_file() or any(name in LAKE and not self.tenant.lake.exists(name) for name in step.outputs):
            return {}
        recorded: dict[str, Parts] = json.loads(file.read_text())
        return {day: parts for day, parts in recorded.items() if isinstance(parts, dict)}

    def _unpartitioned(self, step: Step) -> Parts:
        parts = {DEFINITION: step.code_version}
        names = DIMENSIONS if step.name == "dimensions" else ENTITIES
        parts |= {name: _hash(store.fingerprint(self.tenant, name), *self._batches(name)) for name in names}
        if step.name == "dimensions":
            parts["customer_events"] = landed.resolutions(self.tenant)
        parts |= {f"table {name}": repr(sorted(self._table_files(name).items(), key=str)) for name in step.inputs}
        return parts

    def _of_day(self, step: Step, day: date) -> Parts:
        parts = {DEFINITION: _hash(step.code_version, self._defined.text(step, day))}
        if step.group == "entities":
            parts |= self._entity_inputs(step.outputs[0], day)
        reach = self._reach(step)
        for name in step.inputs:
            if name in LAKE and name != REFERENCES:
                parts[name] = self._of_input(step, name, day, reach.get(name, 0))
        if step.name == "order_facts" and day in self._cross_day_orders:
            # The event's day decides whose visitor it was, also when it is the later one.
            parts["orders of two days"] = self._cross_day_orders[day]
            parts |= {name: repr(self._table_files(name)) for name in ("identity_links", "customer_merges")}
        if step.name == "campaign_files":
            parts["links_history"] += self._use("early_clicks").get(day, "")
        if step.name == "ledger_exports":
            parts["attempts"] = self._attempts.get(day, "")
        elif REFERENCES in step.inputs or step.group in _WAIT:
            sources = DATED if step.group in _WAIT else [name for name in DATED if name in step.inputs]
            parts |= self._waiting_for(sources, day)
        if step.advance is not None:
            parts[STATE] = self._states(step.name).get(day, "")
        return {name: _short(text) if name != STATE else text for name, text in parts.items()}

    def _reach(self, step: Step) -> Mapping[str, int]:
        if step.name not in self._lookback:
            self._lookback[step.name] = step.lookback(self.tenant)
        return self._lookback[step.name]

    def _states(self, step: str) -> Texts:
        key = f"states-{step}"
        if key not in self._texts:
            self._texts[key] = carry.states(self.tenant, step)
        return self._texts[key]

    def _of_input(self, step: Step, name: str, day: date, reach: int) -> str:
        if (step.name, name) in _USED_BY:
            return "\x1f".join(self._use(each).get(day, "") for each in _USED_BY[step.name, name])
        if LAKE[name].partitioned:
            files = self._table_files(name)
            return "\x1f".join(files.get(day - timedelta(days=back), "-") for back in range(reach + 1))
        if name in ("groups", "outlets"):
            # Who holds whom is taken as it is now, for every day.
            return self._containment if step.name != "product_signals" else f"{self._containment}\x1f{self._online}"
        if (step.name, name) == ("transactions", "outlets_history"):
            return self._outlets.get(day, "")
        if name == "customer_merges" and step.name in _SEEK_VISITORS:
            return self._use("merged_customers").get(day, "")
        if name == "identity_links" and step.name in _SEEK_VISITORS:
            return self._links_used("transactions" in step.inputs).get(day, "")
        if name in _CLOCKS:
            return self._prefix(name).get(day, "")
        if name.removesuffix("_history") in DIMENSIONS:
            return self._prefix(f"{name.removesuffix('_history')}_history").get(day, "")
        return repr(self._table_files(name))

    def _entity_inputs(self, entity: str, day: date) -> Parts:
        found = {LANDED: self._landed(entity).get(day, "")}
        if entity == "stock_levels":
            found["products"] = self._stock.get(day, "")
        return found

    @cached_property
    def _containment(self) -> str:
        return logical_sha256(tenant_containment(self.tenant))

    @cached_property
    def _online(self) -> str:
        return online_outlet(self.tenant) or ""

    @cached_property
    def _cross_day_orders(self) -> Texts:
        made_from = (*self._batches("customer_events"), *self._batches("transactions"), self.tenant.zone.key)
        return remembered(self.tenant, "cross_day_orders", made_from, lambda: cross_day_orders(self.tenant))

    def _use(self, name: str) -> Texts:
        if name not in self._texts:
            tables, make = _USES[name]
            self._texts[name] = self._from_tables(name, tables, make)
        return self._texts[name]

    def _links_used(self, sales: bool) -> Texts:
        sought = ("customer_events", "transactions") if sales else ("customer_events",)
        key = f"links_used-{len(sought)}"
        if key not in self._texts:
            tables = ("customer_merges", "identity_links", *sought)
            self._texts[key] = self._from_tables(key, tables, partial(links_used, sought))
        return self._texts[key]

    @cached_property
    def _outlets(self) -> Texts:
        made_from = (*self._batches("transactions"), self._table_files("outlets_history"))
        return remembered(self.tenant, "outlets_named", made_from, lambda: landed.outlets_named(self.tenant))

    @cached_property
    def _stock(self) -> Texts:
        made_from = (*self._batches("products"), self.tenant.zone.key)
        return remembered(self.tenant, "stock_in_products", made_from, lambda: landed.stock_in_products(self.tenant))

    def _landed(self, entity: str) -> Texts:
        if entity not in self._texts:
            self._texts[entity] = remembered(
                self.tenant, f"landed-{entity}", self._batches(entity), lambda: landed.rows_by_day(self.tenant, entity)
            )
        return self._texts[entity]

    def _batches(self, entity: str) -> list[str]:
        return sorted(batch_files(self.tenant, entity))

    def _from_tables(self, name: str, tables: Iterable[str], make: Callable[[Tenant], Texts]) -> Texts:
        made_from = (self.tenant.zone.key, *(sorted(self._table_files(table).items(), key=str) for table in tables))
        return remembered(self.tenant, name, made_from, lambda: make(self.tenant))

    def _chained(self, step: Step, days: Sequence[date]) -> dict[str, Parts]:
        """Each day's fingerprint covers every day before it, from the first day with data."""
        wanted = set(days)
        before, result = "", {day.isoformat(): self._of_day(step, day) for day in days}
        for day in [day for day in self.available_days() if wanted and day <= max(wanted)]:
            if day in wanted:
                result[day.isoformat()][STATE] = before
            before = _hash(before, json.dumps(self._of_day(step, day), sort_keys=True))
        return result

    @cached_property
    def _attempts(self) -> Texts:
        return attempts_by_day(self.tenant)

    @cached_property
    def _defined(self) -> Defined:
        return Defined(self.tenant)

    def _table_files(self, name: str) -> dict[date | None, str]:
        if name not in self._files:
            self._files[name] = self.tenant.lake.files(name) if name in LAKE else {}
        return self._files[name]

    def _prefix(self, table: str) -> Texts:
        """By day: hash of the versions of a dimension that were valid by the end of the day.

        Of a table of latest rows: hash of what had happened by the end of the day. A row that is withdrawn or moved is
        gone from the day on which it stood, which versions up to that day would not say.
        """
        key = f"prefix-{table}"
        if key not in self._texts:
            exists = self.tenant.lake.exists(table)
            by_day = self._from_tables(key, (table,), lambda _: self._versions_by_day(table)) if exists else {}
            totals, running = {}, 0
            for day in sorted({*by_day, *self.available_days()}):
                # A sum does not depend on order, so equal sets of versions have equal sums.
                running += int(by_day.get(day, 0))
                totals[day] = str(running)
            self._texts[key] = totals if exists else {}
        return self._texts[key]

    def _versions_by_day(self, table: str) -> Texts:
        clock, *said = _CLOCKS.get(table, ("effective_from", "external_id", "version_hash"))
        rows = self.tenant.lake.scan(table).filter(pl.col(clock).is_not_null())
        texts = [pl.col(name).fill_null("") for name in said]
        # What holds from the beginning lies before the first date there is, west of Greenwich and in London.
        versions = (
            rows.select(
                pl.max_horizontal(local_date(pl.col(clock), self.tenant.zone), pl.lit(date.min)).alias("day"),
                pl.concat_str(*texts, pl.col(clock).to_physical(), separator="\x1f").alias("version"),
            )
            .with_columns(subject_key("version"))
            .group_by("day")
            .agg(pl.col("version").sum())
            .collect()
        )
        return {day: str(total) for day, total in versions.iter_rows()}

    def _waiting_for(self, sources: Iterable[str], day: date) -> Parts:
        """Hash of the references that rows of the sources and the day wait for, by what they wait for."""
        found: Parts = {}
        for source in sources:
            key = f"waiting-{source}"
            if key not in self._texts:
                self._texts[key] = self._from_tables(key, (REFERENCES,), partial(_waiting, source))
            for target, text in json.loads(self._texts[key].get(day, "{}")).items():
                found[WAITING + target] = f"{found.get(WAITING + target, '')}{source}:{text};"
        return found


def _waiting(source: str, tenant: Tenant) -> Texts:
    table = tenant.lake.scan(REFERENCES).filter(pl.col("date").is_not_null() & (pl.col("entity") == source))
    rows = table.select("date", "target_entity", pl.concat_str("row_id", "field", "target_id").alias("reference"))
    weighed = rows.with_columns(subject_key("reference")).group_by("date", "target_entity")
    found: dict[date, dict[str, int]] = {}
    for day, target, total in (
        weighed.agg(pl.col("reference").sum()).sort("date", "target_entity").collect().iter_rows()
    ):
        found.setdefault(day, {})[target] = total
    return {day: json.dumps(targets) for day, targets in found.items()}


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _short(text: str) -> str:
    return _hash(text)[:_SHOWN] if text else ""
