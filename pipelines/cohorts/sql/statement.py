"""One SELECT in the making: its named parts in the order in which they are read, and the numbers that it compares.

Nothing here knows a rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from textwrap import dedent, indent

#: What ``until`` holds for what never ends.
INF = 2**63 - 1


@dataclass
class Statement:
    """Common table expressions by name; equal ones are written once.

    Attributes:
        parts: name -> text.
    """

    parts: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, body: str) -> str:
        """Add a part under the name, or the name with a number where another part has it; returns its name."""
        text = dedent(body).strip("\n")
        chosen, number = name, 1
        while chosen in self.parts and self.parts[chosen] != text:
            number += 1
            chosen = f"{name}_{number}"
        self.parts.setdefault(chosen, text)
        return chosen

    def text(self, final: str) -> str:
        """The whole statement, with the final SELECT after its parts."""
        last = dedent(final).strip("\n")
        if not self.parts:
            return last
        parts = ",\n".join(f"{name} AS (\n{indent(body, '  ')}\n)" for name, body in self.parts.items())
        return f"WITH\n{parts}\n{last}"


@dataclass(frozen=True)
class Number:
    """A fraction of two SQL expressions over whole numbers; the lower one is positive, or null where there is none.

    Attributes:
        num: what is divided.
        den: by what; ``1`` for whole numbers.
    """

    num: str
    den: str = "1"

    @property
    def whole(self) -> bool:
        """Whether it is a whole number."""
        return self.den == "1"

    @property
    def known(self) -> str:
        """Condition under which there is such a number."""
        return f"{self.num} IS NOT NULL" if self.whole else f"{self.num} IS NOT NULL AND {self.den} IS NOT NULL"

    def plus(self, other: Number) -> Number:
        """The sum."""
        if self.whole and other.whole:
            return Number(f"({self.num} + {other.num})")
        return Number(f"({_times(self.num, other.den)} + {_times(other.num, self.den)})", _times(self.den, other.den))

    def times(self, other: Number) -> Number:
        """The product."""
        return Number(_times(self.num, other.num), _times(self.den, other.den))

    def over(self, other: Number) -> Number:
        """The quotient; none where the divisor is zero."""
        below = _times(self.den, other.num)
        return Number(f"({_times(self.num, other.den)} * sign({below}))", f"abs(nullif({below}, 0))")

    def compared(self, sign: str, other: Number) -> str:
        """Condition that compares two numbers exactly; null where one of them is none."""
        return f"{_times(self.num, other.den)} {sign} {_times(other.num, self.den)}"


def _times(one: str, two: str) -> str:
    if "1" in (one, two):
        return two if one == "1" else one
    return f"({one} * {two})"


def quoted(text: str) -> str:
    """A text as SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def among(values: Iterable[str]) -> str:
    """Literals in brackets, for IN."""
    return f"({', '.join(quoted(value) for value in values)})"
