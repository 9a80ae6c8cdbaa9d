"""Several tables published by one step, each in one commit, with every writer open before an input is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from pipelines.config import Tenant
from pipelines.storage.lake import Commit, Writer

Writers = dict[str, Writer]


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
