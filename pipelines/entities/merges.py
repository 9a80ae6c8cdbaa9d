"""Which customer an id stands for at an instant, from what ``merged_into`` said in valid time.

A merge holds after the instant of the version that states it, until a later version names another customer or none; as
with every attribute the first version holds from the beginning. Chains are followed, and of a circle the least id
stands for all. A tombstone says nothing about merging, so that who was merged stays merged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import polars as pl

from pipelines.entities.history import BEGINNING
from schemas.tables import CUSTOMER_MERGES

_LATEST = datetime.max.replace(tzinfo=UTC)
#: Start, end and target of a time ``(start, end]`` in which an id names another.
_Span = tuple[datetime, datetime, str]


def customer_merges(history: pl.DataFrame) -> pl.DataFrame:
    """For which customer each id that ever named another stands after an instant: the rows of ``customer_merges``.

    Args:
        history: ``customers_history``.
    """
    known = _named(history)
    rows = [(customer, *piece) for customer in sorted(known) for piece in _changes(customer, known)]
    found = pl.DataFrame(rows, schema=["external_id", "effective_from", "customer_id", "is_circular"], orient="row")
    if found.is_empty():
        return CUSTOMER_MERGES.empty()
    return found.with_columns(pl.col("effective_from").cast(pl.Datetime("us", "UTC"))).select(CUSTOMER_MERGES.names)


def holder_at(frame: pl.DataFrame, merges: pl.DataFrame, *, instant: str, column: str = "customer_id") -> pl.DataFrame:
    """The frame with each id replaced by the customer that it stands for at the row's instant; rows keep their order.

    Args:
        frame: with ``column`` String and ``instant`` Datetime(us, UTC).
        merges: ``customer_merges``.
        instant: column with the instant to look at.
        column: column with the id.
    """
    named = frame.filter(pl.col(column).is_in(merges["external_id"].implode())) if merges.height else merges
    if named.is_empty():
        return frame
    changes = merges.sort("effective_from").select("effective_from", _id="external_id", _holder="customer_id")
    placed = frame.with_row_index("_place").sort(instant)
    joined = placed.join_asof(
        changes,
        left_on=instant,
        right_on="effective_from",
        by_left=column,
        by_right="_id",
        allow_exact_matches=False,
        check_sortedness=False,
        coalesce=False,
    ).sort("_place")
    return joined.with_columns(pl.coalesce("_holder", column).alias(column)).select(frame.columns)


def over_time(rows: pl.DataFrame, merges: pl.DataFrame, column: str = "customer_id") -> pl.DataFrame:
    """Rows that hold for a time, cut where their id comes to stand for another customer.

    Args:
        rows: ``column``, ``since`` and ``until`` (null: without end), either Datetime(us, UTC) or Int64 microseconds;
            a row holds in ``(since, until]``.
        merges: ``customer_merges``.
        column: column with the id.

    Returns:
        The rows, in no order, with ``column`` the customer, and the Booleans ``moved_in`` and ``moved_out``: the piece
        begins, or ends, because of a merge.
    """
    still = [pl.lit(False).alias("moved_in"), pl.lit(False).alias("moved_out")]
    if merges.is_empty():
        return rows.with_columns(still)
    whole = rows.join(merges, left_on=column, right_on="external_id", how="anti").with_columns(still)
    cut = rows.join(_times(merges, rows.schema["since"]), left_on=column, right_on="_id")
    begins = pl.max_horizontal("since", "_from")
    ends = pl.min_horizontal("until", "_to")
    pieces = cut.with_columns(
        pl.col("_holder").alias(column),
        begins.alias("since"),
        ends.alias("until"),
        (pl.col("_from") > pl.col("since")).alias("moved_in"),
        (pl.col("_to").is_not_null() & (pl.col("_to") < pl.col("until")).fill_null(True)).alias("moved_out"),
    )
    held = pieces.filter((pl.col("since") < pl.col("until")).fill_null(True))
    return pl.concat([whole, held.select(whole.columns)])


def families(merges: pl.DataFrame) -> pl.DataFrame:
    """``customer_id`` and its ``family``: the least id that ``customer_merges`` connects it with, at whatever time."""
    pairs = merges.select(a="external_id", b="customer_id")
    both = pl.concat([pairs, pairs.select(a="b", b="a")]).unique()
    found, before = both.select(customer_id="a", family="a").unique().sort("customer_id"), pl.DataFrame()
    while not found.equals(before):
        before = found
        reached = both.join(found, left_on="b", right_on="customer_id").select("family", customer_id="a")
        least = pl.concat([found, reached.select(found.columns)]).group_by("customer_id").agg(pl.col("family").min())
        found = least.sort("customer_id")
    return found


def _times(merges: pl.DataFrame, clock: pl.DataType) -> pl.DataFrame:
    """Every time of each id in ``merges``, itself first: _id, _holder, _from, _to (null: without end)."""
    start = merges.group_by("external_id").agg(pl.col("effective_from").min().alias("first"))
    itself = start.filter(pl.col("first") > BEGINNING).select(
        "external_id",
        pl.lit(BEGINNING).cast(pl.Datetime("us", "UTC")).alias("effective_from"),
        pl.col("external_id").alias("customer_id"),
    )
    steps = pl.concat([itself, merges.select(itself.columns)]).sort("external_id", "effective_from")
    same = (pl.col("external_id") == pl.col("external_id").shift(-1)).fill_null(False)
    return steps.select(
        pl.col("external_id").alias("_id"),
        pl.col("customer_id").alias("_holder"),
        pl.col("effective_from").cast(clock).alias("_from"),
        pl.when(same).then(pl.col("effective_from").shift(-1)).cast(clock).alias("_to"),
    )


def _named(history: pl.DataFrame) -> dict[str, list[_Span]]:
    """Times in which an id names another, in order, by id."""
    lasting = (pl.col("effective_to") > pl.col("effective_from")).fill_null(True)
    held = history.filter(lasting & ~pl.col("is_deleted")).select("external_id", "effective_from", "merged_into")
    merged = held.filter(pl.col("merged_into").is_not_null()).select("external_id").unique()
    versions = held.join(merged, on="external_id", how="semi").sort("external_id", "effective_from").iter_rows()
    by_id: dict[str, list[tuple[datetime, str | None]]] = defaultdict(list)
    for customer, since, target in versions:
        said = by_id[customer]
        said.append((since if said else BEGINNING, target))
    return {customer: _spans(said) for customer, said in by_id.items()}


def _spans(said: list[tuple[datetime, str | None]]) -> list[_Span]:
    ends = [*said[1:], (_LATEST, None)]
    return [(since, until, target) for (since, target), (until, _) in zip(said, ends, strict=True) if target]


def _changes(customer: str, known: dict[str, list[_Span]]) -> Iterator[tuple[datetime, str, bool]]:
    """When the customer that an id stands for becomes another, in order; an id begins as itself."""
    alone = (customer, False)
    before, past = alone, BEGINNING
    for start, end, holder, circular in _resolved(customer, known):
        if past < start and before != alone:
            yield past, *alone
            before = alone
        if (holder, circular) != before:
            before = (holder, circular)
            yield start, holder, circular
        past = end
    if past < _LATEST and before != alone:
        yield past, *alone


def _resolved(customer: str, known: dict[str, list[_Span]]) -> Iterator[tuple[datetime, datetime, str, bool]]:
    """Start, end and holder of each time in which an id names another, in order, and whether a circle led there."""
    waiting = [(start, end, [customer, target]) for start, end, target in reversed(known[customer])]
    while waiting:
        start, end, path = waiting.pop()
        last = path[-1]
        if last in path[:-1]:
            yield start, end, min(path[path.index(last) :]), True
            continue
        inside = [(max(a, start), min(b, end), target) for a, b, target in known.get(last, ()) if a < end and start < b]
        if not inside:
            yield start, end, last, False
            continue
        edges = [start, *(edge for a, b, _ in inside for edge in (a, b)), end]
        targets = {a: target for a, _, target in inside}
        # A time in which the last one names nobody waits with the same path, and is resolved by that.
        pieces = [(a, b, [*path, targets[a]] if a in targets else path) for a, b in pairwise(edges) if a < b]
        waiting.extend(reversed(pieces))
