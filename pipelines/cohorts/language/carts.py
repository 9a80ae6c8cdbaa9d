"""Leaves about a visitor's open cart: its value against a bound, and signals of the products in it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.signals.definitions import Reference, Strict


class CartPercentile(Strict):
    """Nearest-rank percentile of the carts that were open at the end of each of the partitions before."""

    percentile: Reference
    of: Literal["open_cart_values"]
    partitions: Reference


class GreatestValue(Strict):
    """The greater of a floor and a percentile."""

    greatest: tuple[Reference, CartPercentile]


class CartValue(Strict):
    """The cart is worth enough; it is left below a share of the bound."""

    property: Literal["cart_total_value"]
    at_least: GreatestValue
    leave_below: Reference


class CartSignal(Strict):
    """A product of the cart is in one of the states at the entry instant; left when none was for a time."""

    signal: str
    of: Literal["cart_products"]
    any_in: tuple[str, ...] = Field(min_length=1)
    leave_after: Reference
