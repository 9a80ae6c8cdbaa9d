"""The step: a range of days in one pass, with the state of carts in memory and one commit per table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl

from pipelines.ahead import ahead
from pipelines.calendar import Day, day_of, days_between
from pipelines.cohorts import cart_state, order_day, orders, tables
from pipelines.cohorts.cart_days import Facts, Setting, advance
from pipelines.cohorts.cart_state import CartState
from pipelines.cohorts.catalogue import CartRules, cart_rules, cohorts
from pipelines.cohorts.links import linked_at, linked_each, spans
from pipelines.cohorts.result import Result, keyed
from pipelines.cohorts.rules import Cohort
from pipelines.cohorts.span import Span
from pipelines.config import Tenant
from pipelines.signals.chain import CHECKPOINT_DAYS, Chain, chain, is_checkpoint
from pipelines.signals.demand import micros
from pipelines.storage.lake import Commit, Lake

CART_INPUTS = ("cart_activity", "visitor_orders", "signal_crossings")
SCARCITY = "scarcity_state"
STEPS = ["flockr_vid", "cart_key", "event_id", "line", "step", "product_id", "quantity", "unit_price_minor", "currency"]
#: Cart steps that are computed at once.
ROWS_AT_ONCE = 2_000_000
OUTPUTS = ("cohort_membership", "cohort_transitions", "cohort_sizes")


@dataclass(frozen=True)
class DayTables:
    """Published rows of one day, without the date."""

    membership: pl.DataFrame
    transitions: pl.DataFrame
    sizes: pl.DataFrame


def run(tenant: Tenant, days: Sequence[date]) -> dict[str, Commit]:
    """Publish ``cohort_membership``, ``cohort_transitions`` and ``cohort_sizes`` of the days.

    Raises:
        UsageError: a definition is wrong.
        MurmurError: transitions do not add up; nothing is published.
    """
    wanted = sorted(set(days))
    definitions = cohorts(tenant)
    lake = tenant.lake
    with lake.writer(OUTPUTS[0]) as members, lake.writer(OUTPUTS[1]) as moves, lake.writer(OUTPUTS[2]) as sizes:
        for day, rows in results(tenant, definitions, wanted):
            members.put(day, rows.membership)
            moves.put(day, rows.transitions)
            sizes.put(day, rows.sizes)
    assert members.commit and moves.commit and sizes.commit  # noqa: S101
    return {OUTPUTS[0]: members.commit, OUTPUTS[1]: moves.commit, OUTPUTS[2]: sizes.commit}


def results(
    tenant: Tenant, definitions: Mapping[str, Cohort], wanted: Sequence[date]
) -> Iterator[tuple[date, DayTables]]:
    """Rows of each wanted day, in order; state files are written on the way."""
    versions = {cohort.id: cohort.definition_version for cohort in definitions.values()}
    by_order = {cohort.id: cohort for cohort in definitions.values() if cohort.subject == "customer"}
    last = day_of(max(wanted), tenant.zone)
    merges = tenant.lake.read("customer_merges")
    known = order_day.history(order_rows(tenant.lake, last), [*by_order.values()], micros(last.end), merges)
    links = identity_links(tenant.lake)
    of_customers = spans(links, "customer", merges).join(order_day.subjects(known), on="subject", how="semi")
    sizes: dict[str, int] | None = None
    before: dict[str, pl.DataFrame] = {}
    cart_days = _cart_days(tenant, definitions, spans(links, "visitor", merges), wanted)
    # The next days are computed while these are published.
    for day, carts, carried in ahead(cart_days, CHECKPOINT_DAYS):
        if day.date not in set(wanted):
            sizes, before = None, {}
            continue
        if sizes is None:
            sizes = {**_sizes(carried), **_order_sizes(known, day)}
        customers = {}
        for key, cohort in by_order.items():
            result = order_day.one_day(known, cohort, day, before.get(key))
            result = replace(result, members=keyed(result.members, tenant.id))
            before[key] = result.members.filter("is_member")
            customers[key] = _linked(result, of_customers, day)
        parts = [*([] if carts is None else [(carts, "visitor")]), *((each, "customer") for each in customers.values())]
        rows = _published(parts, tenant, versions)
        sizes = tables.must_add_up(sizes, rows.sizes, day.date)
        yield day.date, rows


def order_rows(lake: Lake, last: Day) -> pl.DataFrame:
    """``customer_orders`` before the end of a day, the columns that order cohorts need, with ``at`` in microseconds."""
    days = [day for day in lake.days("customer_orders") if day <= last.date]
    rows = lake.scan("customer_orders", days).select(orders.COLUMNS).filter(pl.col("occurred_at") < last.end)
    return rows.with_columns(pl.col("occurred_at").dt.epoch("us").alias("at")).drop("occurred_at").collect()


def identity_links(lake: Lake) -> pl.DataFrame:
    """``links.LINKS``: every link between a visitor and a customer."""
    rows = lake.scan("identity_links").select(
        "flockr_vid", "customer_id", pl.col("occurred_at").dt.epoch("us").alias("linked_at")
    )
    return rows.drop_nulls().collect()


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


def cart_chain(tenant: Tenant, definitions: Mapping[str, Cohort], rules: CartRules, last: date) -> Chain:
    """The chain of cart states up to a day."""
    versions = {key: definitions[key].definition_version for key in rules.ids}
    versions |= {"currency": tenant.config.currency, "layout": cart_state.LAYOUT}
    return chain(tenant.state / "cohorts", tenant.lake, CART_INPUTS, versions, last)


def _cart_days(
    tenant: Tenant, definitions: Mapping[str, Cohort], visitors: pl.DataFrame, wanted: Sequence[date]
) -> Iterator[tuple[Day, Result | None, pl.DataFrame]]:
    """Each day that leads to and through the wanted ones, its rows, and the members before it."""
    rules = cart_rules(dict(definitions))
    if rules is None:
        for each in days_between(min(wanted), max(wanted)):
            yield day_of(each, tenant.zone), None, CartState().members
        return
    links = cart_chain(tenant, definitions, rules, max(wanted))
    resumed = links.resume(min(wanted), lambda day: cart_state.usable(links, day, rules))
    state = cart_state.load(links, resumed, rules) if resumed else CartState()
    setting = Setting(rules, tenant.config.currency, tenant.id, visitors)
    members = state.members
    for days in _stretches(links.plan(wanted, resumed), tenant.lake.rows("cart_activity"), max(wanted)):
        span = Span([day_of(each, tenant.zone) for each in days])
        found = advance(state, cart_facts(tenant.lake, span), setting, span)
        cart_state.save(links, days, state, whole=is_checkpoint(days[-1], max(wanted)))
        for day, rows in zip(span.days, found, strict=True):
            yield day, rows, members
            members = rows.members.filter("is_member")


def _stretches(days: Sequence[date], rows: Mapping[date | None, int], last: date) -> Iterator[list[date]]:
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


def _sizes(members: pl.DataFrame) -> dict[str, int]:
    return dict(members.group_by("cohort_id").len().iter_rows())


def _linked(result: Result, links: pl.DataFrame, day: Day) -> Result:
    """An order cohort's rows with who the customer is linked to, sorted by subject."""
    members = linked_at(result.members.sort("subject"), links, micros(day.end))
    return Result(linked_each(result.transitions.sort("subject", "at", "direction"), links), members)


def _order_sizes(known: order_day.History, day: Day) -> dict[str, int]:
    start = micros(day.start)
    inside = (pl.col("start") < start) & (pl.col("end") >= start)
    return {key: rows.filter(inside).height for key, rows in known.intervals.items()}


def _published(parts: Sequence[tuple[Result, str]], tenant: Tenant, versions: Mapping[str, str]) -> DayTables:
    members = _by_cohort([tables.membership(part, kind, versions) for part, kind in parts])
    moves = _by_cohort([tables.transitions(part, kind, tenant.id, versions) for part, kind in parts])
    return DayTables(members, moves, tables.sizes(members, moves, versions))


def _by_cohort(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames that are sorted by cohort as one that is; slices cost nothing where sorting strings would."""
    pieces = []
    for frame in frames:
        start = 0
        for length, cohort in frame["cohort_id"].rle().struct.unnest().iter_rows():
            pieces.append((cohort, frame.slice(start, length)))
            start += length
    ordered = [piece for _, piece in sorted(pieces, key=lambda piece: str(piece[0]))]
    return pl.concat(ordered or frames)
