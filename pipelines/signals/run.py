"""The step: a range of days in one pass over the facts, with the state in memory and one commit per table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl

from pipelines.calendar import day_of
from pipelines.carry import Trail, day_inputs, folder
from pipelines.config import Tenant
from pipelines.errors import UsageError
from pipelines.facts.early import publications
from pipelines.signals import attributes, inputs
from pipelines.signals import state as states
from pipelines.signals.catalogue import Count, Rate, Signal, signals
from pipelines.signals.crossings import SEPARATOR
from pipelines.signals.day import Result, one_day
from pipelines.signals.inputs import Run, open_run
from pipelines.signals.metrics import metrics
from pipelines.signals.visits import Visits
from pipelines.step import Writers, publish
from pipelines.storage.encode import coded
from pipelines.storage.hashing import identifiers, logical_sha256
from pipelines.storage.lake import Commit

STEP = "product_signals"
OUTPUTS = ("signal_snapshots", "signal_windows", "signal_crossings", "signal_metrics")
#: Changes when the columns of the state or their meaning do.
LAYOUT = "4"


def run(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish ``OUTPUTS`` of the days.

    Raises:
        UsageError: a definition is wrong.
        ContractError: a result violates its table; nothing is published.
    """
    return advance(tenant, days, ())


def advance(tenant: Tenant, days: Sequence[date], tail: Sequence[date]) -> dict[str, Commit]:
    """``run``, and of the days in ``tail`` those before which the state has changed."""
    definitions = signals(tenant)
    _one_of_each(definitions)

    def fill(writers: Writers) -> None:
        for day, found in results(tenant, definitions, sorted(set(days)), tail):
            writers["signal_snapshots"].put(day, found.snapshot)
            writers["signal_windows"].put(day, found.windows)
            writers["signal_crossings"].put(day, found.crossings)
            writers["signal_metrics"].put(day, metrics(found, definitions))

    return publish(tenant, OUTPUTS, fill)


def lookback(tenant: Tenant) -> Mapping[str, int]:
    """How many days before a day are read of the facts: hours leave a window, and sales are of two weeks."""
    return inputs.reach(signals(tenant))


def _one_of_each(definitions: Mapping[str, Signal]) -> None:
    seen: dict[str, str] = {}
    for signal in definitions.values():
        if isinstance(signal.measure, Count | Rate):
            continue
        kind = repr([type(signal.measure).__name__, next(iter(signal.measure.model_dump().values()))])
        if kind in seen:
            raise UsageError(f"signals {seen[kind]} and {signal.id} have the same measure; keep one of them")
        seen[kind] = signal.id


def results(
    tenant: Tenant, definitions: dict[str, Signal], days: Sequence[date], tail: Sequence[date] = ()
) -> Iterator[tuple[date, Result]]:
    """Yield what every day to publish says, in order; state is saved on the way."""
    context = open_run(tenant, definitions)
    visits = Visits(context, days, sorted(tail))
    trail = _trail(context, max([*days, *tail]))
    state = states.empty(definitions)
    for turn in trail.walk(days, tail):
        if turn.begin:
            state = states.empty(definitions)
        if turn.load:
            state = states.load(trail, turn.load, definitions)
        found = one_day(context, state, day_of(turn.day, tenant.zone), visits, tell=turn.publish)
        trail.made(turn.day, states.parts(state))
        if found is not None:
            yield turn.day, replace(found, crossings=_identified(context, found.crossings))


def _trail(context: Run, last: date) -> Trail:
    tenant = context.tenant
    versions = {signal.id: signal.definition_version for signal in context.definitions.values()}
    seed = json.dumps([LAYOUT, sorted(versions.items()), logical_sha256(context.inside), context.online])
    told = [publications(tenant), attributes.told(tenant, context.steps)]
    found = day_inputs(
        tenant.lake,
        inputs.reach(context.definitions),
        seed,
        last,
        lambda day: "\x1f".join(each.get(day, "") for each in told),
    )
    return Trail(folder(tenant, STEP), found, states.parts(states.empty(context.definitions)))


def _identified(context: Run, crossings: pl.DataFrame) -> pl.DataFrame:
    versions = {signal.id: signal.definition_version for signal in context.definitions.values()}
    instant = pl.from_epoch("effective_at", time_unit="us").dt.replace_time_zone("UTC")
    # Most instants are those of the grid: each is written once.
    at = crossings.select(instant.alias("effective_at")).unique()
    iso = at.with_columns(pl.col("effective_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").alias("iso"))
    subject = pl.concat_str("subject", "place", separator=SEPARATOR, ignore_nulls=True)
    told = crossings.with_columns(instant.alias("effective_at")).join(
        iso, on="effective_at", how="left", maintain_order="left"
    )
    return told.with_columns(
        identifiers(
            [
                pl.lit(context.tenant.id),
                pl.col("signal_id").cast(pl.String),
                subject,
                pl.col("to_state").cast(pl.String),
                pl.col("iso"),
            ]
        ).alias("crossing_id"),
        pl.lit("product", dtype=pl.Enum(["product"])).alias("subject_type"),
        _versions(told, versions),
    ).drop("iso")


def _versions(crossings: pl.DataFrame, versions: dict[str, str]) -> pl.Series:
    kind = crossings.schema["signal_id"]
    if not isinstance(kind, pl.Enum):
        return pl.Series("definition_version", [], dtype=pl.String)
    told = [versions[each] for each in kind.categories]
    texts = sorted(set(told))
    places = np.array([texts.index(each) for each in told], dtype=np.int64)
    return coded(places[crossings["signal_id"].to_physical().to_numpy()], pl.Series(texts)).alias("definition_version")
