"""Rows of one subject in the streams that a cohort names, as dictionaries. What rules make of them is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from pipelines.calendar import Day, days_between
from pipelines.cohorts.by_instant import VisitorRows
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.values import AnyIn, AtLeast, AtMost, Where
from pipelines.cohorts.language.vocabulary import PRODUCT, streams
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.sessions import FIELDS
from pipelines.cohorts.streams.visitors import ACTS, Visitors
from pipelines.config import Tenant
from pipelines.storage.lake import Lake
from pipelines.storage.pinned import Pinned
from schemas.registry import LAKE

#: ``stream``, ``at``, ``since``, ``until`` (microseconds), ``times`` (how many events it stands for), fields, ids.
Row = dict[str, Any]
#: Fields that tell the record behind a row.
IDS: Mapping[str, tuple[str, ...]] = {
    "order": ("order_id",),
    "buy": ("order_id", "product_id"),
    "spend": ("order_id",),
    "sold": ("order_id",),
    "returned": ("order_id",),
    "campaign_order": ("order_id",),
    "link_click": ("event_id",),
    "referral_accepted": ("entity_id",),
    "referral_flagged": ("entity_id",),
    "opt_out": ("external_id",),
    "scarce_day": ("product_id",),
    **dict.fromkeys((act for act in ACTS if act != "checkout"), ("product_id",)),
}


class OfVisitor(Pinned):
    """A lake in which there is only one visitor."""

    def __init__(self, lake: Lake, visitor: str) -> None:
        """Nothing is read yet."""
        super().__init__(lake)
        self._visitor = visitor

    def scan(self, table: str, days: Sequence[date] | None = None) -> pl.LazyFrame:
        """Rows of the visitor, of tables that are about visitors; all rows of others."""
        rows = super().scan(table, days)
        return rows.filter(pl.col("flockr_vid") == self._visitor) if "flockr_vid" in LAKE[table].names else rows


class Rows:
    """Rows of one subject up to the end of a day, each stream read once."""

    def __init__(self, tenant: Tenant, kind: str, subject: str, day: Day) -> None:
        """Nothing is read yet."""
        self.tenant, self.kind, self.subject, self.day = tenant, kind, subject, day
        self.customers = Customers(tenant, day)
        self.lake = OfVisitor(tenant.lake, subject)
        self._visitors = Visitors(tenant, self.lake)
        self._kept: dict[tuple[str, str, str], list[Row]] = {}

    def of(self, cohort: Cohort, stream: str) -> list[Row]:
        """Rows of a stream with the fields that the cohort asks for, in the order of their instants."""
        names = fields_of(cohort, stream)
        # What a session is may depend on how far back the cohort looks.
        whose = cohort.id if any(name.startswith("session_") for name in names) else ""
        key = (stream, "\x1f".join(sorted(names)), whose)
        if key not in self._kept:
            frame = self._customer(stream, names) if self.kind == "customer" else self._visitor(cohort, stream, names)
            self._kept[key] = _listed(frame, stream, names)
        return self._kept[key]

    def crossings(self, signal: str | None, products: set[str]) -> list[Row]:
        """Changes of signals of some products that happened, in order."""
        wanted = (
            pl.col("suppressed_by").is_null()
            & pl.col("place").is_null()
            & pl.col("subject").is_in(sorted(products))
            & (pl.col("effective_at") < self.day.end)
        )
        if signal is not None:
            wanted &= pl.col("signal_id") == signal
        found = self.lake.lake.scan("signal_crossings").filter(wanted)
        frame = found.select(
            pl.col("effective_at").dt.epoch("us").alias("at"),
            pl.col("signal_id").alias("signal"),
            pl.col("subject").alias("product_id"),
            "from_state",
            "to_state",
            "crossing_id",
            "date",
        )
        rows = frame.collect().sort("at", "crossing_id").to_dicts()
        return [{**row, "stream": "crossing", "since": row["at"], "until": _EVER, "times": 1} for row in rows]

    def _customer(self, stream: str, names: set[str]) -> pl.DataFrame:
        return self.customers.rows(stream, names).filter(pl.col("subject") == self.subject)

    def _visitor(self, cohort: Cohort, stream: str, names: set[str]) -> pl.DataFrame:
        if stream == "scarce_day":
            viewed = self.lake.scan("visitor_acts").filter(
                (pl.col("act") == "view") & (pl.col("date") <= self.day.date)
            )
            days = viewed.select("date").unique().sort("date").collect()["date"].to_list()
            frames = [self._visitors.rows(stream, names, each, self.day.date) for each in days]
            return pl.concat(frames) if frames else self._visitors.rows(stream, names, self.day.date, self.day.date)
        if cohort.evaluate == "instant":
            source = VisitorRows(self._visitors, [self.day]).of(cohort)
            asked = names & set(FIELDS)
            if not asked or source.sessions is None:
                return source.rows(stream, names, ())
            found = source.rows(stream, names - asked | {"session_id"}, ())
            return source.sessions(found.filter(pl.col("subject") == self.subject))
        firsts = [day for table in _VISITED for day in self.tenant.lake.days(table)[:1]]
        days = days_between(min([*firsts, self.day.date]), self.day.date)
        return self._visitors.between(stream, names, days)


_EVER = 2**63 - 1
_VISITED = ("visitor_acts", "visitor_daily", "visitor_orders", "visitor_purchases")


def _listed(frame: pl.DataFrame, stream: str, names: set[str]) -> list[Row]:
    """Rows in order; one that is repeated for each group it is of comes once, with all of them."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in frame.sort("at", "since", *sorted(names)).to_dicts():
        row["times"] = row.pop("weight")
        row["stream"] = stream
        if "group_id" not in row:
            found[(len(found),)] = row
            continue
        group = row.pop("group_id")
        kept = found.setdefault((row["order_id"], row["since"]), {**row, "group_id": []})
        kept["group_id"] += [group] if group is not None else []
    return list(found.values())


def fields_of(cohort: Cohort, stream: str) -> set[str]:
    """Fields of a stream that a cohort's rule asks for, and those that tell the records."""
    known = streams(cohort.subject)[stream].fields
    words = set(_words(cohort.model_dump(include={"rule", "for_each"})))
    asked = {word for word in words if word in known}
    if "product_id" in known:
        asked |= {word for word in words if word.startswith("signal.")}
    return {*asked, *IDS.get(stream, ())}


def _words(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for key, part in data.items():
            yield str(key)
            yield from _words(part)
    elif isinstance(data, list | tuple):
        for part in data:
            yield from _words(part)
    elif isinstance(data, str):
        yield data


def counts(row: Row, x: int) -> bool:
    """Whether a row is the subject's at an instant: what happens at it is seen."""
    return bool(row["since"] <= x < row["until"])


def satisfies(cohort: Cohort, row: Row, where: Where) -> bool:
    """Whether a row satisfies every condition; a field that is not known satisfies none."""
    return all(_fits(cohort, row.get(name), wanted) for name, wanted in where.items())


def _fits(cohort: Cohort, found: Any, wanted: Any) -> bool:
    if isinstance(found, list):
        return any(_fits(cohort, each, wanted) for each in found)
    if found is None:
        return False
    if isinstance(wanted, AnyIn):
        return found in wanted.any_in
    if isinstance(wanted, AtLeast):
        return bool(found >= cohort.param(wanted.at_least))
    if isinstance(wanted, AtMost):
        return bool(found <= cohort.param(wanted.at_most))
    return bool(found == wanted)


def has_key(cohort: Cohort, row: Row, key: str | None) -> bool:
    """Whether a row is of a key of the cohort's family; true outside families."""
    if cohort.for_each is None or key is None:
        return True
    found = row.get(cohort.for_each)
    return key in found if isinstance(found, list) else found == key


def of_products(stream: str) -> bool:
    """Whether the rows of a stream are about products and not the subject's."""
    return stream in PRODUCT
