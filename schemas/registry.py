"""Every lake table by name: entities, their histories and what is computed from them."""

from __future__ import annotations

from schemas.contract import Contract
from schemas.entities import ENTITIES
from schemas.tables import TABLES

#: Entities whose versions are small enough to keep folded; the others keep theirs in landing.
DIMENSIONS: tuple[str, ...] = tuple(entity.name for entity in ENTITIES.values() if not entity.partitioned)

LAKE: dict[str, Contract] = {
    **{entity.name: entity.contract for entity in ENTITIES.values()},
    **{f"{name}_history": ENTITIES[name].history_contract for name in DIMENSIONS},
    **TABLES,
}
