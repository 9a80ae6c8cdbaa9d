"""A process that publishes a partition and dies, or is stopped, at a step that it is told."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from pipelines.calendar import day_of
from pipelines.errors import ConflictError
from pipelines.exports.parquet import write_partition
from pipelines.exports.publish import publish
from pipelines.exports.revision import Place, newest_revision
from pipelines.storage.objects import ObjectStore, open_store
from schemas.exports import file_contract

DAY = day_of(date(2026, 3, 29), ZoneInfo("Europe/London"))
NAME = "cohort_sizes"
PLACE = Place(NAME, DAY.date, NAME)
CHANGES = ("put", "put_if_absent", "copy", "delete")
CONFLICT = 3


def sizes(counts: Sequence[int]) -> pl.DataFrame:
    rows = [(f"c{n}", "1", size, 0, 0) for n, size in enumerate(counts)]
    return pl.DataFrame(rows, schema=file_contract(NAME).schema, orient="row")


def publish_sizes(store: ObjectStore, counts: Sequence[int]) -> None:
    """Pin, compute and publish, as a step does."""
    before = newest_revision(store, PLACE)
    with tempfile.TemporaryDirectory() as folder:
        content = write_partition(NAME, "shop", DAY.date, sizes(counts), Path(folder))
        publish(store, PLACE, DAY, "Europe/London", before, content)


def disturbed(
    url: str, environment: Mapping[str, str], counts: Sequence[int], step: int, after: bool, how: signal.Signals
) -> None:
    """Publish, and get a signal before or after the n-th change of the store; exit with 3 after a conflict."""
    os.environ.update(environment)
    store = open_store(url)
    left, inside = [step], [False]

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if inside[0]:
                # A copy on a disk is a put.
                return change(*arguments)
            left[0] -= 1
            mine = left[0] == 0
            if mine and not after:
                os.kill(os.getpid(), how)
            inside[0] = True
            done = change(*arguments)
            inside[0] = False
            if mine and after:
                os.kill(os.getpid(), how)
            return done

        return call

    for name in CHANGES:
        setattr(store, name, counted(getattr(store, name)))
    try:
        publish_sizes(store, counts)
    except ConflictError:
        sys.exit(CONFLICT)
