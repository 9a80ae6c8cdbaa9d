"""The retailer's places: stores, a warehouse, the web shop, and the groups they belong to.

The catalogue is in ``catalogue``; who shops here is in ``people``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.simulator.settings import DAY, SimulationConfig, as_timestamps

ONLINE = "outlet-online"
WAREHOUSE = "outlet-warehouse"
NATIONAL = "group-national"

_STORES = (
    ("Harbour Street", "north", ""),
    ("Mill Lane", "north", ""),
    ("Station Square", "south", ""),
    ("Castle Gate", "south", ""),
    ("Orchard Park", "south", ""),
    ("Liffey Quay", "abroad", "Europe/Dublin"),
    ("Rue des Exemples", "abroad", "Europe/Paris"),
)


@dataclass(frozen=True)
class Store:
    """A place with a till."""

    outlet_id: str
    zone: ZoneInfo
    currency: str


@dataclass(frozen=True)
class World:
    """Outlets and groups as entity frames, and the stores for those who sell there."""

    outlets: pl.DataFrame
    groups: pl.DataFrame
    stores: tuple[Store, ...]


def foreign_currency(config: SimulationConfig) -> str:
    """Currency of the stores abroad."""
    return "GBP" if config.currency == "EUR" else "EUR"


def build(config: SimulationConfig) -> World:
    """Outlets (stores in several zones, a warehouse, the web shop) and groups, known long before the first day.

    Both sides name memberships: national and custom groups list their outlets, outlets list their region.
    """
    made = config.start - 900 * DAY
    stores, rows = [], []
    for number, (name, region, zone_name) in enumerate(_STORES, start=1):
        zone = ZoneInfo(zone_name) if zone_name else config.zone
        store = Store(f"outlet-{number:03d}", zone, foreign_currency(config) if zone_name else config.currency)
        stores.append(store)
        country = {"Europe/Dublin": "IE", "Europe/Paris": "FR"}.get(zone_name, "GB")
        rows.append(_outlet(store.outlet_id, name, "store", zone.key, country, store.currency, [f"group-{region}"]))
    rows.append(_outlet(WAREHOUSE, "Central Warehouse", "warehouse", config.zone.key, "GB", config.currency, []))
    rows.append(_outlet(ONLINE, "Web shop", "online", config.zone.key, "GB", config.currency, []))
    outlets = pl.DataFrame(rows).with_columns(updated_at=pl.Series([made] * len(rows)).cast(pl.Datetime("us", "UTC")))
    return World(outlets, _groups(config, made, stores), tuple(stores))


def _outlet(
    outlet_id: str, name: str, kind: str, zone: str, country: str, currency: str, groups: list[str]
) -> dict[str, str]:
    address = {"line1": f"1 {name}", "city": "Sampleton", "postal_code": "ZZ1 1ZZ", "country": country}
    return {
        "external_id": outlet_id,
        "name": name,
        "kind": kind,
        "timezone": zone,
        "country": country,
        "currency": currency,
        "address": json.dumps(address, ensure_ascii=False),
        "status": "open",
        "group_ids": json.dumps(groups),
    }


def _groups(config: SimulationConfig, made: int, stores: list[Store]) -> pl.DataFrame:
    everywhere = [store.outlet_id for store in stores] + [WAREHOUSE, ONLINE]
    rows = [
        (NATIONAL, "All outlets", "national", None, everywhere),
        ("group-north", "North", "region", NATIONAL, []),
        ("group-south", "South", "region", NATIONAL, []),
        ("group-abroad", "Abroad", "region", NATIONAL, []),
        ("group-flagships", "Flagship stores", "custom", None, [stores[0].outlet_id, stores[2].outlet_id]),
    ]
    return pl.DataFrame(
        {
            "external_id": [row[0] for row in rows],
            "updated_at": as_timestamps(pl.Series([made] * len(rows)).to_numpy()),
            "name": [row[1] for row in rows],
            "kind": [row[2] for row in rows],
            "parent_id": [row[3] for row in rows],
            "outlet_ids": [json.dumps(row[4]) if row[4] else None for row in rows],
            "timezone": [config.zone.key] * len(rows),
        }
    )
