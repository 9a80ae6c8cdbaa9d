"""One word for the demand of a product on the grid: the first condition that holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.signals.arrays import Flags, Ints, Products, Table
from pipelines.signals.catalogue import Composite, Signal
from pipelines.signals.demand import WEEK_HOURS, column
from pipelines.signals.machine import UNDEFINED, Moves, among, codes, columns, move
from pipelines.signals.readings import Reading, shown
from pipelines.signals.units import HOUR

PREFIX = "demand_state"
DEFAULTS = columns(PREFIX)


def step(
    products: Table, signal: Signal, hour: int, momentum: Ints, names: dict[int, str], at_risk: Flags, rank: Ints
) -> Moves:
    """Move states to a grid instant.

    Args:
        products: whose columns are read and changed.
        signal: the definition.
        hour: the grid instant.
        momentum: code of its state by product.
        names: of those codes.
        at_risk: scarcity risk by product.
        rank: in the category, 0 for none.
    """
    measure = signal.measure
    assert isinstance(measure, Composite)  # noqa: S101
    state = {name: code for code, name in codes(signal).items()}
    here = np.where(momentum == UNDEFINED, 0, momentum)

    def within(wanted: tuple[str, ...]) -> Flags:
        return among(here, [code for code, name in names.items() if name in wanted])

    seen = products[column("views", WEEK_HOURS)] > 0
    first_to_hold = [
        ("constrained", at_risk),
        ("hot", within(measure.hot) | ((rank > 0) & (rank <= signal.param(measure.rank)))),
        ("heating", within(measure.heating)),
        ("steady", within(measure.steady) & seen),
        ("cooling", within(measure.cooling) & seen),
    ]
    target = np.select([holds for _, holds in first_to_hold], [state[name] for name, _ in first_to_hold])
    quiet = ~np.any([holds for _, holds in first_to_hold], axis=0)
    target = np.where(quiet, state["dormant"], target)
    return move(products, PREFIX, target, products["first_seen"] < hour * HOUR, hour * HOUR, signal)


def readings(products: Products, signal: Signal) -> Iterator[Reading]:
    """State of every product that was seen."""
    code = products[f"{PREFIX}_state"]
    none = np.zeros(products.height, dtype=np.int64)
    version = signal.definition_version
    yield shown(signal.id, version, products.order, code != UNDEFINED, none, 0, code, codes(signal))
