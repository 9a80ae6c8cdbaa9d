"""Rows of a day rule as the tables show them: who it is about, and the context values beside the membership."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl

from pipelines.cohorts.daily.numbers import Scope, number
from pipelines.cohorts.daily.space import Flags, Ints

#: Decimal places to which a fraction is shown.
_PLACES = 6


def subjects(scope: Scope, rows: Ints) -> pl.DataFrame:
    """``cohort_id`` and ``subject`` of rows of the cohort's space; a family's cohorts are told by ``<id>:<key>``."""
    state, cohort = scope.state, scope.cohort
    frame = pl.DataFrame({"subject": state.subjects.ids.gather(state.owners(scope.key, rows))})
    if not scope.key:
        return frame.select(pl.lit(cohort.id).alias("cohort_id"), "subject")
    keys = state.values[scope.key].ids.gather(state.keys(scope.key, rows))
    return frame.select((pl.lit(f"{cohort.id}:") + pl.lit(keys)).alias("cohort_id"), "subject")


def context(scope: Scope, rows: Ints) -> pl.Series:
    """The context of rows as canonical JSON; null for a cohort that shows none."""
    cohort = scope.cohort
    if not cohort.context or not len(rows):
        return pl.Series("context", [None] * len(rows), dtype=pl.String)
    chosen = replace(scope, rows=rows)
    parts: list[pl.Expr] = []
    for place, name in enumerate(sorted(cohort.context)):
        found = number(chosen, cohort.context[name]).spread(len(rows))
        parts.append(pl.lit(f"{',' if place else '{'}{json.dumps(name)}:"))
        parts.append(pl.lit(_text(found.top, found.under, found.known)))
    return pl.select(pl.concat_str([*parts, pl.lit("}")]).alias("context")).to_series()


def _text(top: Ints, under: Ints, known: Flags) -> pl.Series:
    frame = pl.DataFrame({"top": top, "under": under, "known": known})
    whole = (pl.col("top") % pl.col("under")) == 0
    ratio = (pl.col("top") / pl.col("under")).round(_PLACES).cast(pl.String)
    number = pl.when(whole).then((pl.col("top") // pl.col("under")).cast(pl.String)).otherwise(ratio)
    return frame.select(pl.when("known").then(number).otherwise(pl.lit("null")).alias("text")).to_series()
