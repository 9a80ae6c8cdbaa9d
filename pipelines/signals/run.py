"""The step: a range of days in one pass over the facts, with the state in memory and one commit per table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

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
from pipelines.signals.day import one_day
from pipelines.signals.inputs import Run, open_run
from pipelines.signals.metrics import metrics
from pipelines.step import Writers, publish
from pipelines.storage.hashing import identifiers, logical_sha256
from pipelines.storage.lake import Commit

STEP = "product_signals"
OUTPUTS = ("signal_snapshots", "signal_crossings", "signal_metrics")
#: Changes when the columns of the state or their meaning do.
LAYOUT = "3"


def run(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish ``signal_snapshots``, ``signal_crossings`` and ``signal_metrics`` of the days.

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
        for day, snapshot, crossings in results(tenant, definitions, sorted(set(days)), tail):
            writers["signal_snapshots"].put(day, snapshot)
            writers["signal_crossings"].put(day, crossings)
            writers["signal_metrics"].put(day, metrics(snapshot, crossings, definitions))

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
) -> Iterator[tuple[date, pl.DataFrame, pl.DataFrame]]:
    """Yield (day, snapshots, crossings) of every day to publish, in order; state is saved on the way."""
    context = open_run(tenant, definitions)
    trail = _trail(context, max([*days, *tail]))
    state = states.empty(definitions)
    for turn in trail.walk(days, tail):
        if turn.begin:
            state = states.empty(definitions)
        if turn.load:
            state = states.load(trail, turn.load, definitions)
        snapshot, crossings = one_day(context, state, day_of(turn.day, tenant.zone))
        trail.made(turn.day, states.parts(state))
        if turn.publish:
            yield turn.day, snapshot, _identified(context, crossings)


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
    iso = pl.col("effective_at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    subject = pl.concat_str("subject", "place", separator=SEPARATOR, ignore_nulls=True)
    return crossings.with_columns(instant.alias("effective_at")).with_columns(
        identifiers([pl.lit(context.tenant.id), pl.col("signal_id"), subject, pl.col("to_state"), iso]).alias(
            "crossing_id"
        ),
        pl.lit("product").alias("subject_type"),
        pl.col("signal_id").replace_strict(versions, return_dtype=pl.String).alias("definition_version"),
    )
