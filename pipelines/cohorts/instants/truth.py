"""Times in which a part of a rule holds, and how parts are combined.

A time is ``(start, end]``: it begins at the instant at which something came true and includes the one at which it
ended, as in ``latches``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.cohorts.cart_state import INF
from pipelines.cohorts.language.rules import All, AnyOf, NoneOf, Rule, leaves

#: Columns of times. ``expires``: when a time ends if nothing else happens; null where that is not fixed.
TIMES = {
    "subject": pl.String,
    "key": pl.String,
    "start": pl.Int64,
    "end": pl.Int64,
    "start_cause": pl.String,
    "end_cause": pl.String,
    "expires": pl.Int64,
}
#: Of several things at one instant the first of these is told.
CAUSES = (
    "order",
    "return",
    "merge",
    "add",
    "stock",
    "click",
    "referral",
    "opt_out",
    "opt_in",
    "unwishlist",
    "cart_emptied",
    "cohort",
    "silence",
    "expiry",
)


@dataclass(frozen=True)
class Truth:
    """When a part of a rule holds.

    Attributes:
        times: ``TIMES``, in no order; those of one subject and key may overlap.
        base: whether it holds outside of the times and not inside them.
    """

    times: pl.DataFrame
    base: bool = False


def times(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with the columns of ``TIMES``, ``key`` and ``expires`` empty where not given; none of no length."""
    empty = {"key": pl.lit(""), "expires": pl.lit(None, dtype=pl.Int64)}
    given = rows.with_columns([value.alias(name) for name, value in empty.items() if name not in rows.columns])
    return given.select(pl.col(name).cast(dtype) for name, dtype in TIMES.items()).filter(
        pl.col("start") < pl.col("end")
    )


def joined(rows: pl.DataFrame) -> pl.DataFrame:
    """Times of one subject and key that overlap or touch become one, sorted by them; causes are those of its two ends.

    ``expires`` is left empty: when it would end depends on which parts have begun, see ``days``.
    """
    ordered = rows.sort("subject", "key", "start", "end")
    same = (pl.col("subject") == pl.col("subject").shift(1)) & (pl.col("key") == pl.col("key").shift(1))
    place = (~same.fill_null(False)).cast(pl.Int64).cum_sum().alias("place")
    reach = pl.col("end").cum_max().shift(1).over("place")
    fresh = reach.is_null() | (pl.col("start") > reach)
    placed = ordered.with_columns(place).with_columns(fresh.cast(pl.Int64).cum_sum().alias("run"))
    last = pl.col("end").arg_max()
    return (
        placed.group_by("run", maintain_order=True)
        .agg(
            pl.col("subject", "key", "start", "start_cause").first(),
            pl.col("end", "end_cause").get(last),
            pl.lit(None, dtype=pl.Int64).alias("expires"),
        )
        .select(*TIMES)
    )


def combined(rule: Rule, found: Mapping[int, Truth]) -> Truth:
    """When a rule holds, from when its leaves do.

    Args:
        rule: the rule.
        found: place of each leaf, counted from the left, -> when it holds.
    """
    if not isinstance(rule, All | AnyOf | NoneOf):
        return found[0]
    count = len(leaves(rule))
    truths = [found[place] for place in range(count)]
    path = _path(truths)
    on = [(pl.col(f"leaf_{place}") > 0) ^ pl.lit(truth.base) for place, truth in enumerate(truths)]
    base = _fold(rule, iter([truth.base for truth in truths]))
    held = path.with_columns(_expression(rule, iter(on)).alias("on"))
    same = (pl.col("subject") == pl.col("subject").shift(1)) & (pl.col("key") == pl.col("key").shift(1))
    before = pl.when(same.fill_null(False)).then(pl.col("on").shift(1)).otherwise(base)
    changes = held.filter(pl.col("on") != before)
    follows = (pl.col("subject") == pl.col("subject").shift(-1)) & (pl.col("key") == pl.col("key").shift(-1))
    ended = changes.with_columns(
        pl.when(follows.fill_null(False)).then(pl.col("at").shift(-1)).otherwise(INF).alias("end"),
        pl.when(follows.fill_null(False))
        .then(pl.col("cause").shift(-1))
        .otherwise(pl.lit("expiry"))
        .alias("end_cause"),
    )
    kept = ended.filter(pl.col("on") != base)
    return Truth(times(kept.rename({"at": "start", "cause": "start_cause"})), base)


def _path(truths: Sequence[Truth]) -> pl.DataFrame:
    """Each instant at which a leaf changes: how many times of each leaf hold after it, and the cause that is told."""
    rank = pl.col("cause").replace_strict({name: place for place, name in enumerate(CAUSES)}, default=len(CAUSES))
    edges = []
    for place, truth in enumerate(truths):
        for at, cause, step in (("start", "start_cause", 1), ("end", "end_cause", -1)):
            rows = truth.times.filter(pl.col(at) < INF)
            edges.append(
                rows.select(
                    "subject",
                    "key",
                    pl.col(at).alias("at"),
                    pl.col(cause).alias("cause"),
                    *[
                        pl.lit(step if each == place else 0, dtype=pl.Int64).alias(f"leaf_{each}")
                        for each in range(len(truths))
                    ],
                )
            )
    names = [f"leaf_{place}" for place in range(len(truths))]
    instants = (
        pl.concat(edges)
        .with_columns(rank.alias("rank"))
        .group_by("subject", "key", "at")
        .agg(pl.col(names).sum(), pl.col("cause").sort_by("rank").first())
        .sort("subject", "key", "at")
    )
    # What a subject adds it takes away in the end, but for times without an end; so the sums are by subject.
    return instants.with_columns(pl.col(names).cum_sum().over("subject", "key"))


def _expression(rule: Rule, on: object) -> pl.Expr:
    if isinstance(rule, All | AnyOf | NoneOf):
        parts = [_expression(part, on) for part in _parts(rule)]
        if isinstance(rule, All):
            return pl.all_horizontal(parts)
        some = pl.any_horizontal(parts)
        return some if isinstance(rule, AnyOf) else ~some
    return next(on)  # type: ignore[call-overload,no-any-return]


def _fold(rule: Rule, on: object) -> bool:
    if isinstance(rule, All | AnyOf | NoneOf):
        parts = [_fold(part, on) for part in _parts(rule)]
        if isinstance(rule, All):
            return all(parts)
        return any(parts) if isinstance(rule, AnyOf) else not any(parts)
    return next(on)  # type: ignore[call-overload,no-any-return]


def _parts(rule: All | AnyOf | NoneOf) -> Sequence[Rule]:
    if isinstance(rule, All):
        return rule.all
    return rule.any if isinstance(rule, AnyOf) else rule.none
