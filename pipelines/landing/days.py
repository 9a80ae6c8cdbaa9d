"""The tenant days that are computed: from the first to the last on which a record falls, without what lies far apart.

One event with a wrong year would otherwise make decades of empty days, each of which every table has a partition for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date

from pipelines.calendar import days_between
from pipelines.config import Tenant
from pipelines.landing import store
from schemas.entities import ENTITIES

#: Entities whose rows make a day exist.
DATED = tuple(entity.name for entity in ENTITIES.values() if entity.partitioned)


def computed_days(tenant: Tenant) -> list[date]:
    """Every day of the stretch with the most days that have records, sorted.

    Of stretches with as many days the one with the most records counts, and then the last one.
    """
    found = _stretches(tenant)
    rows = _rows(tenant) if len(found) > 1 else Counter()
    main = max(found, key=lambda days: (len(days), sum(rows[day] for day in days), days[-1]), default=[])
    return days_between(main[0], main[-1]) if main else []


def days_left_out(tenant: Tenant) -> list[date]:
    """Days with records that are not computed, sorted: more than ``longest_gap_days`` without any lie before them."""
    computed = set(computed_days(tenant))
    return [day for days in _stretches(tenant) for day in days if day not in computed]


def _stretches(tenant: Tenant) -> list[list[date]]:
    filled = sorted({day for entity in DATED for day in store.dates(tenant, entity)})
    return stretches(filled, tenant.config.longest_gap_days)


def _rows(tenant: Tenant) -> Counter[date | None]:
    found: Counter[date | None] = Counter()
    for name in DATED:
        for receipt in store.committed(tenant, name):
            found.update({part.date: part.accepted + part.superseded for part in receipt.partitions})
    return found


def stretches(days: Iterable[date], longest_gap: int) -> list[list[date]]:
    """Sorted days, cut where more than ``longest_gap`` days are missing."""
    found: list[list[date]] = []
    for day in days:
        if found and (day - found[-1][-1]).days - 1 <= longest_gap:
            found[-1].append(day)
        else:
            found.append([day])
    return found
