"""Rows of a day rule as the tables show them: who it is about, and the context values beside the membership."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from pipelines.cohorts.daily.numbers import Scope, number
from pipelines.cohorts.daily.space import Ints
from pipelines.storage.hashing import identifiers

#: Decimal places to which a fraction is shown.
_PLACES = 6


def subjects(scope: Scope, rows: Ints) -> pl.DataFrame:
    """``cohort_id`` and ``subject`` of rows of the cohort's space; a family's cohorts are told by ``<id>:<key>``."""
    state, cohort = scope.state, scope.cohort
    owners = state.owners(scope.key)[rows]
    frame = pl.DataFrame({"subject": state.subjects.ids.gather(owners)})
    if not scope.key:
        return frame.select(pl.lit(cohort.id).alias("cohort_id"), "subject")
    keys = state.keys(scope.key).gather(rows)
    return frame.select((pl.lit(f"{cohort.id}:") + pl.lit(keys)).alias("cohort_id"), "subject")


def context(scope: Scope, rows: Ints) -> pl.Series:
    """The context of rows as canonical JSON; null for a cohort that shows none."""
    cohort = scope.cohort
    if not cohort.context or not len(rows):
        return pl.Series("context", [None] * len(rows), dtype=pl.String)
    parts: list[pl.Expr] = []
    for place, name in enumerate(sorted(cohort.context)):
        found = number(scope, cohort.context[name])
        top, under, known = found.top[rows], found.under[rows], found.known[rows]
        parts.append(pl.lit(f"{',' if place else '{'}{json.dumps(name)}:"))
        parts.append(pl.lit(_text(top, under, known)))
    return pl.select(pl.concat_str([*parts, pl.lit("}")]).alias("context")).to_series()


def _text(top: Ints, under: Ints, known: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> pl.Series:
    frame = pl.DataFrame({"top": top, "under": under, "known": known})
    whole = (pl.col("top") % pl.col("under")) == 0
    ratio = (pl.col("top") / pl.col("under")).round(_PLACES).cast(pl.String)
    number = pl.when(whole).then((pl.col("top") // pl.col("under")).cast(pl.String)).otherwise(ratio)
    return frame.select(pl.when("known").then(number).otherwise(pl.lit("null")).alias("text")).to_series()


class Keys:
    """Membership keys of the rows of a space, each hashed once."""

    def __init__(self, tenant: str) -> None:
        """Begin with none."""
        self.tenant = tenant
        self._known: dict[str, pl.Series] = {}

    def of(self, scope: Scope, rows: Ints) -> pl.Series:
        """``membership_key`` of rows of the cohort's space."""
        height = scope.state.space(scope.key).height
        known = self._known.get(scope.cohort.id, pl.Series("membership_key", [], dtype=pl.String))
        if known.len() < height:
            known = known.extend(pl.Series([None] * (height - known.len()), dtype=pl.String))
        fresh = rows[known.gather(rows).is_null().to_numpy()]
        if len(fresh):
            named = subjects(scope, fresh)
            parts = [pl.lit(self.tenant), pl.col("cohort_id"), pl.col("subject")]
            known = known.scatter(fresh, named.select(identifiers(parts)).to_series())
        self._known[scope.cohort.id] = known
        return known.gather(rows).alias("membership_key")
