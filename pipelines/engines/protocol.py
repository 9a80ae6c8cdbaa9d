"""What an engine promises: the results of a pure task over buckets, in the order of the buckets. No scheduling here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Bucket = TypeVar("Bucket")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs the same pure function over independent buckets of subjects."""

    def map(self, task: Callable[[Bucket], Result], buckets: Sequence[Bucket]) -> list[Result]:
        """Results in the order of ``buckets``; an exception of any task is raised and nothing is returned."""
        ...
