"""Counts over the usual windows: one wide row a product, and the same as rows of ``signal_snapshots`` for readers.

Windows that a tenant adds have no column and stay rows of ``signal_snapshots``; what is counted is in ``demand`` and
``visitors``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import polars as pl

from pipelines.signals.arrays import Ints, Products
from pipelines.signals.catalogue import Count, Rate, Signal
from pipelines.signals.demand import Hours, window_counts
from pipelines.signals.units import HOUR, duration
from pipelines.storage.lake import Lake
from schemas.registry import LAKE
from schemas.tables.signals import WINDOWS

TABLE = "signal_windows"
#: Visitors by act and microseconds of the window, by product.
Visits = Mapping[tuple[str, int], Ints]
_ID = ["date", "subject"]


def is_usual(window: str) -> bool:
    """Whether a window has a column."""
    return window in WINDOWS


def unusual(definitions: Mapping[str, Signal]) -> bool:
    """Whether any window has no column."""
    return not all(is_usual(window) for signal in definitions.values() for window in signal.windows)


def asked(definitions: Mapping[str, Signal]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Pairs of act and usual window of which a definition asks the count, and those of which it asks the visitors."""
    counts: set[tuple[str, str]] = set()
    visitors: set[tuple[str, str]] = set()
    for signal in definitions.values():
        measure = signal.measure
        acts = [measure.count] if isinstance(measure, Count) else measure.rate if isinstance(measure, Rate) else ()
        pairs = {(str(act), window) for act in acts for window in signal.windows if is_usual(window)}
        counts |= pairs
        if isinstance(measure, Count) and measure.visitors:
            visitors |= pairs
    return counts, visitors


def rows(
    products: Products, hours: Hours, visits: Visits, definitions: Mapping[str, Signal], hour: int
) -> pl.DataFrame:
    """Rows of ``signal_windows`` at a grid instant without the date, sorted; those without any count left out."""
    counts, visitors = asked(definitions)
    found: dict[str, Ints] = {}
    for act, window in counts:
        found[f"{act}_{window}"] = window_counts(products, hours, hour, act, duration(window))
    for act, window in visitors:
        found[f"{act}_visitors_{window}"] = visits[act, duration(window)]
    some = np.zeros(products.height, dtype=np.bool_)
    for column in found.values():
        some |= column != 0
    index = products.order[some[products.order]]
    versions = {
        signal.id: signal.definition_version
        for signal in definitions.values()
        if isinstance(signal.measure, Count | Rate) and any(map(is_usual, signal.windows))
    }
    none = pl.lit(None, dtype=pl.Int64)
    return pl.DataFrame({"subject": products.ids.gather(index)}).select(
        pl.lit("product").alias("subject_type"),
        "subject",
        *(
            pl.Series(name, found[name][index]) if name in found else none.alias(name)
            for name in LAKE[TABLE].names
            if LAKE[TABLE][name].dtype == pl.Int64
        ),
        pl.lit(json.dumps(versions, sort_keys=True, separators=(",", ":"))).alias("definition_versions"),
    )


def snapshots(lake: Lake, days: Sequence[date], definitions: Mapping[str, Signal]) -> pl.LazyFrame:
    """Counts and rates of some days as rows of ``signal_snapshots``, in no order.

    Values that are 0 have no row. ``inputs_hash`` is null: the value itself is the whole number behind it.

    Args:
        lake: the tenant's.
        days: partitions; the values before are those of the day before each, 0 where it has none.
        definitions: signals to tell; those that are no counts are left out.
    """
    wide = lake.scan(TABLE, [day for day in lake.days(TABLE) if day in _with_days_before(days)])
    parts = [
        _long(wide, days, signal, name, column, ratio)
        for signal in definitions.values()
        for name, (column, ratio) in columns(signal).items()
    ]
    empty = LAKE["signal_snapshots"].empty().lazy()
    return pl.concat([empty, *parts])


def columns(signal: Signal) -> dict[str, tuple[str, tuple[int, int]]]:
    """By signal id: the column that holds its count, and what the count is multiplied with and divided by."""
    measure, found = signal.measure, {}
    for window, width in signal.windows.items():
        if not is_usual(window):
            continue
        if isinstance(measure, Count):
            found[f"{signal.id}_{window}"] = (f"{measure.count}_{window}", (1, 1))
            if measure.visitors:
                found[f"{signal.id}_visitors_{window}"] = (f"{measure.count}_visitors_{window}", (1, 1))
        elif isinstance(measure, Rate):
            for act in measure.rate:
                found[f"{signal.id}_{act}_{window}"] = (f"{act}_{window}", (HOUR, width))
    return found


def _with_days_before(days: Sequence[date]) -> set[date]:
    return {each for day in days for each in (date.fromordinal(day.toordinal() - 1), day)}


def _long(
    wide: pl.LazyFrame, days: Sequence[date], signal: Signal, name: str, column: str, ratio: tuple[int, int]
) -> pl.LazyFrame:
    top, bottom = ratio
    # A division by one number for all rows would be a product with its inverse, which rounds twice.
    below = pl.col(column) * 0 + bottom
    value = pl.when(pl.col(column) != 0).then(pl.col(column) * top / below)
    told = wide.select(*_ID, value.alias("value")).drop_nulls("value")
    before = told.select(pl.col("date").dt.offset_by("1d"), "subject", pl.col("value").alias("value_prev"))
    joined = told.filter(pl.col("date").is_in(list(days))).join(before, on=_ID, how="left")
    texts = {"signal_id": name, "subject_type": "product", "definition_version": signal.definition_version}
    known = {"date", "subject", "value", "value_prev"}
    return joined.select(
        pl.col(each.name) if each.name in known else pl.lit(texts.get(each.name), dtype=each.dtype).alias(each.name)
        for each in LAKE["signal_snapshots"]
    )
