"""One step of the flow: a function of a tenant and its days that publishes one or more tables.

Each stage lists its steps; ``pipelines.flow`` puts them in order, and Dagster's assets are made from the same list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

import polars as pl

from pipelines.config import Tenant
from pipelines.storage.lake import Commit, Writer

Group = Literal["entities", "facts", "signals", "cohorts", "delivery", "exports"]
Run = Callable[[Tenant, Sequence[date]], dict[str, Commit]]
Advance = Callable[[Tenant, Sequence[date], Sequence[date]], dict[str, Commit]]
Lookback = Callable[[Tenant], Mapping[str, int]]
Writers = dict[str, Writer]


@dataclass(frozen=True)
class CheckResult:
    """Outcome of one check over the days that were asked about.

    Attributes:
        name: snake case, unique within the table.
        passed: whether it holds.
        description: what must hold, in one sentence.
        evidence: small numbers that show it; never personal data.
        blocking: what is downstream waits when it fails.
    """

    name: str
    passed: bool
    description: str
    evidence: dict[str, int | str] = field(default_factory=dict)
    blocking: bool = True


@dataclass(frozen=True)
class Check:
    """A check of a table: ``run`` is given the tenant and the days that were just published."""

    table: str
    name: str
    description: str
    run: Callable[[Tenant, Sequence[date]], CheckResult]
    blocking: bool = True


@dataclass(frozen=True)
class Step:
    """A unit of computation.

    Attributes:
        name: step name, snake case; a verb phrase is not needed, the tables say what it makes.
        group: stage that it belongs to.
        outputs: tables or datasets that ``run`` publishes; its result has one commit for each.
        inputs: tables that it reads; of the same day unless ``carries_state``.
        run: publishes ``outputs`` for the days; days are sorted, and empty for a step without partitions.
        partitioned: whether the outputs have a partition per tenant day.
        carries_state: a day also depends on the day before, so a correction is computed forward.
        advance: publishes ``outputs`` for some days, and of the later days that it is given those before which the
            carried state has changed; a step that carries state and has none recomputes every later day.
        lookback: tables of which a day reads earlier partitions as well, and how many days back.
        kinds: labels for the asset graph, such as ``polars`` or ``delta``.
        code_version: changes when the meaning of the result changes.
    """

    name: str
    group: Group
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    run: Run
    partitioned: bool = True
    carries_state: bool = False
    advance: Advance | None = None
    lookback: Lookback = lambda tenant: {}
    kinds: tuple[str, ...] = ("polars", "delta")
    code_version: str = "1"
    description: str = ""


def publish(tenant: Tenant, tables: Sequence[str], fill: Callable[[Writers], None]) -> dict[str, Commit]:
    """Open a writer per table, let ``fill`` read, compute and put, then commit them in the order given.

    Raises:
        ConflictError: another run published one of the tables in between.
        ContractError: a frame does not satisfy its table's contract; nothing is published.
    """
    writers: Writers = {}
    with ExitStack() as stack:
        # The stack leaves in reverse, so that the last table given is committed last.
        for table in reversed(tables):
            writers[table] = stack.enter_context(tenant.lake.writer(table))
        fill(writers)
    return {table: commit for table in tables if (commit := writers[table].commit) is not None}


def preview(frame: pl.DataFrame, rows: int = 10) -> list[dict[str, object]]:
    """First rows as plain values, for a table in the UI."""
    return frame.head(rows).with_columns(pl.col(pl.Datetime, pl.Date).cast(pl.String)).to_dicts()
