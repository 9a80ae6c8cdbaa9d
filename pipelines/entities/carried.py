"""Versions of an entity that arrived inside records of another one."""

from __future__ import annotations

import polars as pl

from pipelines.config import Tenant
from pipelines.entities.consents import opt_outs_in_customers
from pipelines.entities.identity import links_in_events
from pipelines.entities.stock import stock_in_products

CARRIED = {
    "identity_links": links_in_events,
    "opt_outs": opt_outs_in_customers,
    "stock_levels": stock_in_products,
}


def carried(tenant: Tenant, name: str) -> pl.DataFrame | None:
    """Links in events, opt-outs in customers, stock in products; None for every other entity.

    The columns are those that ``fold`` needs, for stock also ``date`` and ``id_key``; rows are in no order.
    """
    return CARRIED[name](tenant) if name in CARRIED else None
