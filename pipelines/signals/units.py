"""Numbers with units as definition files write them, turned into the integers that rules compare.

Nothing here knows a signal or a cohort.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Literal

Unit = Literal["duration", "minor", "percent", "count", "quantity", "ratio", "days"]

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_DURATION = re.compile(r"^(\d{1,6})([mhdw])$")
_MICROSECONDS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


def parse(value: object, unit: Unit) -> int:
    """Turn a written value into an integer.

    Args:
        value: ``30m`` for a duration, a whole number for ``minor``, ``percent``, ``count`` and ``days`` (of stock), a
            decimal with at most three places for ``quantity`` (pieces) and ``ratio``.
        unit: what the parameter is measured in.

    Returns:
        Microseconds, minor units, percent, a count, days, or thousandths.

    Raises:
        ValueError: the value is not written in the unit; the message says how it is written.
    """
    if unit == "duration":
        return duration(value)
    if unit in ("quantity", "ratio"):
        return _thousandths(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a whole number of {unit}; write it without quotes or decimals")
    return value


def duration(value: object) -> int:
    """Microseconds of ``30m``, ``24h``, ``7d`` or ``4w``; a day is 24 hours.

    Raises:
        ValueError: the text is not a duration.
    """
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{value!r} is not a duration; write a number and m, h, d or w, such as 30m or 7d")
    return int(match[1]) * _MICROSECONDS[match[2]]


def _thousandths(value: object) -> int:
    try:
        scaled = Decimal(str(value)) * 1000
    except InvalidOperation:
        scaled = Decimal("NaN")
    if isinstance(value, bool) or not scaled.is_finite() or scaled != scaled.to_integral_value() or scaled < 0:
        raise ValueError(f"{value!r} is not a decimal with at most three places, such as 1.25")
    return int(scaled)
