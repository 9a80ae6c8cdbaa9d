"""Entry and exit with dwell, cooldown and time to live, at their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.cohorts.daily import latch
from pipelines.cohorts.daily.space import Space
from pipelines.cohorts.language.rules import Cohort
from pipelines.signals.units import DAY

PARAMS = {
    name: {"value": f"{days}d", "unit": "duration", "description": "of the test"}
    for name, days in (("dwell", 3), ("cooldown", 4), ("ttl", 5))
}


def cohort(*held: str) -> Cohort:
    orders = {"value": 1, "unit": "count", "description": "fewest orders"}
    rule = {"value": {"count": "order"}, "at_least": "$orders"}
    return Cohort.model_validate(
        {
            "id": "held",
            "subject": "visitor",
            "evaluate": "day",
            "description": "Of the test.",
            "params": {"orders": orders, **{name: PARAMS[name] for name in held}},
            "rule": rule,
            **{name: f"${name}" for name in held},
        }
    )


def walk(rule: Cohort, days: str) -> str:
    """A day each: ``+`` the rule of entry holds, ``=`` only that of staying, ``-`` none.

    Returns:
        What happened on each: ``>`` entered, ``<`` left, ``d`` and ``c`` held back by dwell and cooldown, told as it
        begins; ``.`` nothing.
    """
    space = Space()
    latch.have(rule, space)
    space.number(np.array([17]))
    told = ""
    for place, day in enumerate(days):
        enter, stay = np.array([day == "+"]), np.array([day in "+="])
        moves = latch.move(rule, space, enter, stay, (place + 1) * DAY)
        names = {">": moves.entered, "<": moves.exited, "d": moves.held_in, "c": moves.held_out}
        happened = "".join(name for name, rows in names.items() if len(rows))
        told += happened or "."
    return told


@pytest.mark.parametrize(
    ("held", "days", "expected"),
    [
        # Nobody enters by the bound of staying, and whoever is in stays by it.
        ((), "=+=-=+-", ".>.<.><"),
        # Three days in are enough to leave; before, it is told once that an exit was held back.
        (("dwell",), "+--+", ">d.."),
        (("dwell",), "+---", ">d.<"),
        (("dwell",), "+-+-----", ">d.<...."),
        (("dwell",), "+==-", ">..<"),
        # Four days out are enough to come again.
        (("cooldown",), "+-+++", "><c.."),
        (("cooldown",), "+-++++", "><c..>"),
        (("cooldown",), "+----+", "><...>"),
        (("cooldown",), "+---+-+", "><..c.>"),
        # Five days in are the most, and the rule must have been false before anyone comes again.
        (("ttl",), "++++++", ">....<"),
        (("ttl",), "+++++++-+", ">....<..>"),
        (("ttl",), "+-----", "><...."),
        # The end of its time is an end even within the dwell, and cooldown counts from it.
        (("ttl", "cooldown"), "++++++-++++", ">....<.c.>."),
        (("dwell", "cooldown"), "+---+-+", ">d.<c.c"),
    ],
)
def test_latch(held, days, expected):
    assert walk(cohort(*held), days) == expected
