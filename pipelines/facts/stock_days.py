"""Stock carried from day to day: the last measurement of each place before a day, and since which day it differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import polars as pl

from pipelines.carry import Trail, day_inputs, folder
from pipelines.config import Tenant
from pipelines.facts import stock
from pipelines.facts.places import PLACE

#: Changes when the columns of the state or their meaning do.
LAYOUT = "1"


def days_with_stock(
    tenant: Tenant, step: str, days: Sequence[date], tail: Sequence[date]
) -> Iterator[tuple[date, pl.DataFrame]]:
    """Each of ``days``, and of ``tail`` those before which the carried stock has changed, with that stock.

    Args:
        tenant: whose ``stock_levels`` are read.
        step: name of the step that asks; its folder holds the state.
        days: days to publish.
        tail: later days that may have to be published.
    """
    lake = tenant.lake
    empty = _last(lake.scan("stock_levels", []).select(stock.COLUMNS))
    last = max([*days, *tail])
    trail = Trail(folder(tenant, step), day_inputs(lake, {"stock_levels": 0}, LAYOUT, last), {"held": empty})
    measured = {day for day, rows in lake.rows("stock_levels").items() if rows}
    held = empty
    for turn in trail.walk(days, tail):
        if turn.begin:
            held = empty
        if turn.load:
            held = trail.load(turn.load, "held")
        if turn.publish:
            yield turn.day, held
        if turn.day in measured:
            held = _last(pl.concat([held.lazy(), lake.scan("stock_levels", [turn.day]).select(stock.COLUMNS)]))
        trail.made(turn.day, {"held": held})


def _last(measured: pl.LazyFrame) -> pl.DataFrame:
    return stock.last_by_place(measured).sort(PLACE)
