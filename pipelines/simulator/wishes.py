"""Wishes: products that visitors put on a wishlist and take off again, and alerts asked for while nothing is in stock.

They follow from views and measured stock, and change neither carts nor orders.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.simulator import log
from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.settings import DAY, MILLISECOND, MINUTE, SECOND, Flags, Ints, SimulationConfig, as_timestamps
from pipelines.simulator.stock import Stock
from pipelines.simulator.world import ONLINE

_WISHED, _AGAIN_AT_ONCE, _AGAIN_LATER, _ASKED = 0.015, 0.05, 0.25, 0.2
_CARRIED = ("visitor", "customer", "product", "device", "channel")


def events(config: SimulationConfig, catalogue: Catalogue, visits: pl.DataFrame, stock: Stock) -> pl.DataFrame:
    """Rows of the log.

    Args:
        config: what was asked for.
        catalogue: whose products are looked at.
        visits: rows of the log, of which views are taken.
        stock: measurements; what the web shop last measured decides whether something is in stock.
    """
    rng = config.rng("wishes")
    views = visits.filter(pl.col("name") == log.VIEWED)
    soon = views["t"].to_numpy() + _wait(rng, views.height, 2 * SECOND, 25 * SECOND)
    wished = rng.random(views.height) < _WISHED
    draw = rng.random(views.height)
    at_once = wished & (draw < _AGAIN_AT_ONCE)
    later = wished & (draw >= _AGAIN_AT_ONCE) & (draw < _AGAIN_AT_ONCE + _AGAIN_LATER)
    asked = ~_in_stock(catalogue, views, stock) & (rng.random(views.height) < _ASKED)
    moment = _wait(rng, views.height, 5 * SECOND, MINUTE)
    days = _wait(rng, views.height, DAY // 2, 10 * DAY)
    return pl.concat(
        [
            _rows(views, log.WISHED, wished, soon),
            _rows(views, log.UNWISHED, at_once, soon + moment),
            # Whoever comes back for it days later does so in a visit of which nothing else is known.
            _rows(views, log.UNWISHED, later, soon + days).with_columns(session=pl.lit(None, dtype=pl.Int64)),
            _rows(views, log.ALERT_REQUESTED, asked, soon + moment),
        ]
    )


def _rows(views: pl.DataFrame, name: int, chosen: Flags, t: Ints) -> pl.DataFrame:
    picked = {column: views[column].fill_null(-1).to_numpy()[chosen] for column in (*_CARRIED, "session")}
    return log.piece(int(chosen.sum()), name=name, t=t[chosen], **picked)


def _in_stock(catalogue: Catalogue, views: pl.DataFrame, stock: Stock) -> Flags:
    """Whether the web shop had some at its last measurement before each view; before the first there is some."""
    measured = stock.rows.filter(pl.col("outlet_id") == ONLINE).select("product_id", "measured_at", "available")
    asked = pl.DataFrame(
        {
            "place": np.arange(views.height),
            "product_id": catalogue.ids.gather(views["product"]),
            "measured_at": as_timestamps(views["t"].to_numpy()),
        }
    ).sort("measured_at")
    found = asked.join_asof(measured.sort("measured_at"), on="measured_at", by="product_id", check_sortedness=False)
    some: Flags = found.sort("place").select((pl.col("available") > 0).fill_null(True)).to_series().to_numpy()
    return some


def _wait(rng: np.random.Generator, count: int, least: int, most: int) -> Ints:
    return rng.integers(least // MILLISECOND, most // MILLISECOND, count) * MILLISECOND
