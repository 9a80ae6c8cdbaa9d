"""Days with state: carts and day rules walk together from the newest state that is kept, or from the first day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.ahead import Background, Later
from pipelines.calendar import Day, day_of, local_date
from pipelines.cohorts import by_day, cart_state
from pipelines.cohorts.cart_days import Facts, Setting, advance
from pipelines.cohorts.cart_state import CartState
from pipelines.cohorts.catalogue import CartRules, cart_rules
from pipelines.cohorts.daily.rules import DayRows
from pipelines.cohorts.instants import carried
from pipelines.cohorts.instants.carried import Carried, is_carried
from pipelines.cohorts.instants.days import Held, members_at
from pipelines.cohorts.language.order import in_order
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.result import Result
from pipelines.cohorts.span import Span
from pipelines.cohorts.streams.customers import Customers
from pipelines.cohorts.streams.visitors import Visitors
from pipelines.config import Tenant
from pipelines.signals.chain import Chain, chain, is_checkpoint
from pipelines.storage.lake import Lake
from pipelines.storage.pinned import Pinned

CART_INPUTS = ("cart_activity", "visitor_orders", "signal_crossings")
SCARCITY = "scarcity_state"
STEPS = ["flockr_vid", "cart_key", "event_id", "line", "step", "product_id", "quantity", "unit_price_minor", "currency"]
#: Days whose rows of visitors are kept: windows, and sessions that go on after midnight, ask for them again.
_KEPT = 3
#: Cart steps that are computed at once.
ROWS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class StatefulDay:
    """Rows of one day of everything that carries state.

    Attributes:
        day: the day.
        carts: of the cart cohorts; None without any.
        rules: kind of subject -> rows of its day rules.
        held: visitors' cohorts of sequences as far as the day shows them.
        sizes: members of each of these cohorts at the begin of the day.
    """

    day: Day
    carts: Result | None
    rules: Mapping[str, DayRows]
    held: Sequence[Held]
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Setup:
    """What stays the same while days are computed.

    Attributes:
        tenant: whose.
        definitions: every cohort, by id.
        folder: where state is kept.
        visitors: links of visitors, as ``links.spans``.
        known: customers' streams.
        held: customers' cohorts that are evaluated by instant, when somebody asks.
        lake: the tenant's tables as they are now.
    """

    tenant: Tenant
    definitions: Mapping[str, Cohort]
    folder: Path
    visitors: pl.DataFrame
    known: Customers
    held: Later[Sequence[Held]]
    lake: Pinned


def stateful_days(setup: Setup, wanted: Sequence[date]) -> Iterator[StatefulDay]:
    """Each day that leads to and through the wanted ones, in order; state is kept on the way."""
    tenant, last = setup.tenant, max(wanted)
    rules = cart_rules(dict(setup.definitions))
    links = state_chain(setup, rules, last)
    source = Visitors(tenant, setup.lake)
    side = by_day.day_side(tenant, setup.definitions, links.first or min(wanted), setup.known, source)
    sequences = Carried([each for each in in_order([*setup.definitions.values()]) if is_carried(each)], source)
    if rules is None and not side.rules and not sequences.cohorts:
        for each in wanted:
            yield StatefulDay(day_of(each, tenant.zone), None, {}, [], {})
        return
    parts = [*side.parts(), *(carried.PARTS if sequences.cohorts else ())]
    resumed = links.resume(min(wanted), lambda day: _usable(links, day, rules, parts))
    carts = cart_state.load(links, resumed, rules) if resumed and rules else CartState()
    if resumed:
        side.load(links, resumed)
        if sequences.cohorts:
            sequences.load(links, resumed)
    setting = Setting(rules, tenant.config.currency, tenant.id, setup.visitors) if rules else None
    shown = set(wanted)
    with Background("state") as keeper:
        for days in stretches(links.plan(wanted, resumed), tenant.lake.rows("cart_activity"), last):
            span = Span([day_of(each, tenant.zone) for each in days])
            before = carts.members
            found = advance(carts, cart_facts(tenant.lake, span), setting, span) if setting else [None] * len(days)
            whole = is_checkpoint(days[-1], last)
            if rules:
                # Frames never change, so that they can be written while the next days are computed.
                keeper.do(partial(cart_state.save, links, days, replace(carts), whole=whole))
            for day, rows in zip(span.days, found, strict=True):
                inside = _sizes(before, *side_members(side)) | sequences.sizes() if day.date in shown else {}
                others = _others(setup, rows, day) if side.rules else {}
                moved = side.advance(day, others, show=day.date in shown)
                held = sequences.advance(day)
                source.forget({day.date - timedelta(days=back) for back in range(_KEPT)})
                yield StatefulDay(day, rows, moved, held, inside)
                before = rows.members if rows else before
            if whole:
                side.save(links, days[-1])
                if sequences.cohorts:
                    sequences.save(links, days[-1])


def side_members(side: by_day.DaySide) -> list[pl.DataFrame]:
    """Members of the day rules at the end of the last day."""
    return [rules.members() for rules in side.rules.values()]


def _others(setup: Setup, carts: Result | None, day: Day) -> dict[str, dict[str, pl.Series]]:
    """Members of cohorts that are not day rules at the end of a day, by kind of subject."""
    of_carts = {}
    if carts:
        inside = carts.members.filter("is_member")
        of_carts = {
            str(key): rows["subject"] for (key,), rows in inside.partition_by("cohort_id", as_dict=True).items()
        }
    for cohort in setup.definitions.values():
        if cohort.of_cart:
            of_carts.setdefault(cohort.id, pl.Series("subject", [], dtype=pl.String))
    return {"visitor": of_carts, "customer": {each.cohort_id: members_at(each.times, day) for each in setup.held()}}


def _sizes(*members: pl.DataFrame) -> dict[str, int]:
    found: dict[str, int] = {}
    for rows in members:
        found |= dict(rows.filter("is_member").group_by("cohort_id").len().iter_rows())
    return found


def _usable(links: Chain, day: date, rules: CartRules | None, parts: Sequence[str]) -> bool:
    return (rules is None or cart_state.usable(links, day, rules)) and links.has(day, parts)


def state_chain(setup: Setup, rules: CartRules | None, last: date) -> Chain:
    """The chain of states up to a day."""
    definitions, lake = setup.definitions, setup.tenant.lake
    versions = {key: definitions[key].definition_version for key in rules.ids} if rules else {}
    versions |= {"currency": setup.tenant.config.currency, "layout": cart_state.LAYOUT}
    versions |= by_day.seeds(setup.tenant, definitions)
    of_sequences = {key: each.definition_version for key, each in definitions.items() if is_carried(each)}
    versions |= {**of_sequences, "sequences": carried.LAYOUT} if of_sequences else {}
    read = carried.INPUTS if of_sequences else ()
    tables = sorted({*(CART_INPUTS if rules else ()), *by_day.inputs(definitions), *read})
    merged = _merges_by_day(setup, lake, tables)
    return chain(setup.folder, lake, tables, versions, last, lambda day: merged.get(day, ""))


def _merges_by_day(setup: Setup, lake: Lake, tables: Sequence[str]) -> dict[date, str]:
    """Hash of the merges that take effect on each day; those of before the first day count as of it."""
    rows = setup.known.merges
    first = min((day for table in tables for day, number in lake.rows(table).items() if day and number), default=None)
    if rows.is_empty() or first is None:
        return {}
    begin = day_of(first, setup.tenant.zone).start
    day = local_date(pl.max_horizontal("effective_from", pl.lit(begin)), setup.tenant.zone).alias("day")
    texts = rows.select(
        day, pl.concat_str("external_id", pl.col("effective_from").to_physical(), "customer_id").alias("text")
    )
    listed = texts.sort("day", "text").group_by("day", maintain_order=True).agg(pl.col("text").str.join("\x1f"))
    return {day: hashlib.sha256(text.encode()).hexdigest() for day, text in listed.iter_rows()}


def stretches(days: Sequence[date], rows: Mapping[date | None, int], last: date) -> Iterator[list[date]]:
    """Days that are computed at once: up to a day whose state is kept, and no more rows than memory should hold."""
    taken: list[date] = []
    for day in days:
        if taken and sum(rows.get(each, 0) for each in (*taken, day)) > ROWS_AT_ONCE:
            yield taken
            taken = []
        taken.append(day)
        if is_checkpoint(day, last):
            yield taken
            taken = []
    if taken:
        yield taken


def cart_facts(lake: Lake, span: Span) -> Facts:
    """Facts of some days that cart cohorts need."""
    days = span.dates
    steps = lake.scan("cart_activity", days).select(*STEPS, pl.col("occurred_at").dt.epoch("us").alias("at"))
    ended = lake.scan("visitor_orders", days).select("flockr_vid", pl.col("ordered_at").dt.epoch("us").alias("at"))
    crossed = lake.scan("signal_crossings", days).filter(
        (pl.col("signal_id") == SCARCITY) & pl.col("suppressed_by").is_null() & pl.col("place").is_null()
    )
    end = pl.col("date").replace_strict(pl.Series(days, dtype=pl.Date), span.ends, return_dtype=pl.Int64)
    crossings = crossed.select(
        "date",
        pl.col("subject").alias("product_id"),
        "to_state",
        pl.col("effective_at").dt.epoch("us").alias("at"),
    )
    placed = crossings.with_columns((pl.col("at") >= end).alias("at_end")).sort("date", maintain_order=True)
    return Facts(steps.collect(), ended.collect(), placed.drop("date").collect())
