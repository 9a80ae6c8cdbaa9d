"""The registry of ingested entities, in the order in which a reader meets them."""

from __future__ import annotations

from schemas.entities.activity import CUSTOMER_EVENTS, IDENTITY_LINKS, REFERRAL_EVENTS, TRANSACTIONS
from schemas.entities.campaigns import CAMPAIGN_CUSTOMERS, CAMPAIGNS, LINKS, OPT_OUTS
from schemas.entities.customers import CUSTOMERS
from schemas.entities.envelope import Entity
from schemas.entities.places import GROUPS, OUTLETS
from schemas.entities.products import FX_RATES, PRODUCTS, STOCK_LEVELS

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        CUSTOMERS,
        CUSTOMER_EVENTS,
        TRANSACTIONS,
        PRODUCTS,
        GROUPS,
        OUTLETS,
        CAMPAIGNS,
        CAMPAIGN_CUSTOMERS,
        LINKS,
        REFERRAL_EVENTS,
        OPT_OUTS,
        IDENTITY_LINKS,
        STOCK_LEVELS,
        FX_RATES,
    )
}

__all__ = ["ENTITIES", "Entity"]
