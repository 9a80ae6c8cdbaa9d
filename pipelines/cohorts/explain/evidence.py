"""The records behind rows: ids of orders, events, crossings and words about consent, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from pipelines.cohorts.explain.case import Case, Part, instant
from pipelines.cohorts.explain.rows import Row
from pipelines.facts.visitors import ACTS_OF_EVENTS

#: Rows of evidence that are shown.
MOST = 50
_IDS = {
    "order": "order_id",
    "buy": "order_id",
    "spend": "order_id",
    "sold": "order_id",
    "returned": "order_id",
    "campaign_order": "order_id",
    "link_click": "event_id",
    "opt_out": "external_id",
    "crossing": "crossing_id",
    "cart_activity": "event_id",
}
_ABOUT = ("product_id", "campaign_id", "channel", "category", "outlet_id")
_REFERRALS = {"referral_accepted": "referral.accepted", "referral_flagged": "referral.flagged"}


class Records:
    """Looks up the records behind rows, those of all parts at once."""

    def __init__(self, case: Case, found: Part) -> None:
        """Look up what the rows themselves do not say."""
        rows = [row for part in parts_of(found) for row in newest(part.rows)]
        self._events = _events(case, [row for row in rows if _of_events(row)])
        self._referrals = _referrals(case, [row for row in rows if row["stream"] in _REFERRALS])

    def of(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        """``kind``, ``id``, ``at`` and ``about`` (product, campaign, channel, category or outlet) of at most ``MOST``.

        The newest first; one row may stand for several events.
        """
        found = []
        for row in newest(rows):
            kind = row["step"] if row["stream"] == "cart_activity" else row["stream"]
            about = next((row[name] for name in _ABOUT if row.get(name) is not None), None)
            found += [{"kind": kind, "id": key, "at": instant(row["at"]), "about": about} for key in self._ids(row)]
        return found[:MOST]

    def _ids(self, row: Row) -> list[str | None]:
        if row["stream"] in _IDS:
            return [row[_IDS[row["stream"]]]]
        if row["stream"] in _REFERRALS:
            return list(self._referrals.get((row["stream"], row["entity_id"], row["at"]), [None]))
        known: list[str | None] = [
            event["external_id"] for event in self._events.get(row["at"], []) if _is_behind(row, event)
        ]
        return known or [None]


def count(rows: Iterable[Row]) -> int:
    """How many events rows stand for."""
    return sum(row["times"] for row in _once(rows))


def newest(rows: Iterable[Row]) -> list[Row]:
    """At most ``MOST`` rows, each once, the newest first."""
    return sorted(_once(rows), key=lambda row: (-row["at"], row["stream"], repr(sorted(row.items()))))[:MOST]


def parts_of(found: Part) -> list[Part]:
    """A part and all within it."""
    return [found, *(each for inner in found.parts for each in parts_of(inner))]


def _once(rows: Iterable[Row]) -> list[Row]:
    return list({repr(sorted(row.items())): row for row in rows}.values())


def _of_events(row: Row) -> bool:
    return row["stream"] not in _IDS and row["stream"] not in _REFERRALS


def _events(case: Case, rows: list[Row]) -> Mapping[int, list[dict[str, Any]]]:
    """The visitor's events by instant, those at which a row lies."""
    if not rows or case.rows.kind != "visitor":
        return {}
    instants = sorted({row["at"] for row in rows})
    zone = case.tenant.zone
    dates = sorted({instant(at).astimezone(zone).date() for at in instants})
    at = pl.col("occurred_at").dt.epoch("us").alias("at")
    # An event may say a customer only, and the visitor was found by a link.
    whose = pl.col("flockr_vid").is_null() | (pl.col("flockr_vid") == case.subject)
    scan = case.tenant.lake.scan("customer_events", dates).filter(whose & at.is_in(instants))
    named = scan.select("external_id", "event_name", at, "product_id", "products", "flockr_vid").collect()
    found: dict[int, list[dict[str, Any]]] = {}
    for event in named.sort("at", "external_id").to_dicts():
        found.setdefault(event["at"], []).append(event)
    return found


def _is_behind(row: Row, event: dict[str, Any]) -> bool:
    if row["stream"] == "activity":
        return event["flockr_vid"] is not None
    act = "view" if row["stream"] == "scarce_day" else row["stream"]
    if ACTS_OF_EVENTS.get(event["event_name"]) != act:
        return False
    product = row.get("product_id")
    listed = [line.get("product_id") for line in json.loads(event["products"] or "[]")]
    return product is None or product in (listed or [event["product_id"]])


def _referrals(case: Case, rows: list[Row]) -> Mapping[tuple[str, str, int], list[str]]:
    if not rows:
        return {}
    entities = sorted({row["entity_id"] for row in rows if row["entity_id"] is not None})
    scan = case.tenant.lake.scan("referral_events").filter(pl.col("entity_id").is_in(entities))
    at = pl.col("occurred_at").dt.epoch("us").alias("at")
    streams = {name: stream for stream, name in _REFERRALS.items()}
    found: dict[tuple[str, str, int], list[str]] = {}
    for name, entity, when, key in (
        scan.select("name", "entity_id", at, "external_id").collect().sort("external_id").rows()
    ):
        if name in streams:
            found.setdefault((streams[name], entity, when), []).append(key)
    return found
