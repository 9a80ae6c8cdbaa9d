"""What is wrong in definition files, said so that it can be put right. What counts as wrong is in ``check``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.errors import UsageError


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake.

    Attributes:
        file: the definition file.
        path: place in it, such as ``rule.all.1.value.count``; ``(top)`` is the whole.
        problem: what is wrong.
        fix: the way out.
    """

    file: str
    path: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.path}: {self.problem}; {self.fix}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The way out of a wrong word: the known one that it resembles, or all that there are."""
    choices = sorted(set(known))
    close = difflib.get_close_matches(word, choices, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"write one of: {', '.join(choices)}" if choices else "remove it"


def refuse(problems: Iterable[Problem]) -> None:
    """Raise for the first problem and say how many more there are.

    Raises:
        UsageError: there is a problem.
    """
    listed = list(problems)
    if listed:
        more = f" (and {len(listed) - 1} more: murmur cohort validate lists all)" if len(listed) > 1 else ""
        raise UsageError(f"{listed[0]}{more}")
