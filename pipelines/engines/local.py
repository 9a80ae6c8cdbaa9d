"""The engine of one machine: buckets one after the other, since each task already uses every core through Polars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Bucket = TypeVar("Bucket")
Result = TypeVar("Result")


class LocalEngine:
    """Runs buckets in this process, in order, so that peak memory is that of one bucket."""

    def map(self, task: Callable[[Bucket], Result], buckets: Sequence[Bucket]) -> list[Result]:
        """Results in the order of ``buckets``."""
        return [task(bucket) for bucket in buckets]
