"""Runs the parts in order and gathers the entity frames and the true answers."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.simulator import (
    campaigns,
    catalogue,
    events,
    log,
    people,
    referrals,
    sales,
    sessions,
    stock,
    transactions,
    truth,
    wishes,
    world,
)
from pipelines.simulator.settings import SimulationConfig
from schemas.entities import ENTITIES


@dataclass(frozen=True)
class Simulation:
    """What was simulated.

    Attributes:
        config: what was asked for.
        entities: entity name -> frame with the received columns that are used, typed as in ``schemas.entities``;
            rows in order of their instant.
        truth: answer name -> frame; see ``docs/simulator.md``.
    """

    config: SimulationConfig
    entities: dict[str, pl.DataFrame]
    truth: dict[str, pl.DataFrame]


def simulate(config: SimulationConfig) -> Simulation:
    """Simulate a retailer: the same config gives the same frames."""
    places = world.build(config)
    goods = catalogue.build(config)
    crowd = people.build(config, places)
    opted_out = campaigns.earlier_opt_outs(config, crowd)
    letters = campaigns.build(config, crowd, goods, opted_out)
    visits = sessions.run(config, crowd, goods, sessions.plan(config, crowd, goods, letters.clicks))
    sold = sales.build(config, places, crowd, goods, (visits.orders, visits.lines), letters.percent_off)
    levels = stock.build(config, goods, sold)
    wished = wishes.events(config, goods, visits.events, levels)
    history = log.merged([visits.events, letters.events, wished], config.start, config.end)
    frames = {
        "customers": people.customer_rows(config, crowd, places, opted_out[0]),
        "customer_events": events.rows(config, crowd, goods, letters, sold, history),
        "transactions": transactions.rows(config, places, crowd, goods, letters.ids, sold),
        "products": goods.products,
        "groups": places.groups,
        "outlets": places.outlets,
        "campaigns": letters.campaigns,
        "campaign_customers": letters.campaign_customers,
        "links": letters.links,
        "referral_events": referrals.build(config, crowd, letters.ids),
        "opt_outs": letters.opt_outs,
        "identity_links": events.identity_links(config, crowd, visits.links),
        "stock_levels": levels.rows,
        "fx_rates": referrals.rates(config),
    }
    entities = {name: _received(name, frame) for name, frame in frames.items()}
    return Simulation(
        config, entities, truth.answers(config, crowd, goods, letters, sold, levels, history, visits.links)
    )


def _received(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Columns in contract order with contract types; columns that the simulator never fills are left out."""
    columns = {column.name: column.dtype for column in ENTITIES[name].received if column.name in frame.columns}
    if set(frame.columns) != set(columns):
        raise ValueError(f"simulated {name} has a column that the entity does not have")
    return frame.select([pl.col(column).cast(dtype) for column, dtype in columns.items()])
