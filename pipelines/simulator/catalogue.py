"""The catalogue: SKUs with categories, brands and parents, and prices that change over time.

Popularity follows Zipf's law over a random order of the SKUs. Stock is in ``stock``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulator.settings import (
    DAY,
    HOUR,
    MILLISECOND,
    Flags,
    Floats,
    Ints,
    SimulationConfig,
    as_timestamps,
    gather,
    numbered,
    weighted,
)

CATEGORIES = (
    "Women > Clothing > Dresses",
    "Women > Clothing > Knitwear",
    "Women > Shoes > Boots",
    "Men > Clothing > Shirts",
    "Men > Clothing > Coats",
    "Men > Shoes > Trainers",
    "Home > Kitchen > Cookware",
    "Home > Bedroom > Linen",
    "Home > Garden > Plants",
    "Beauty > Skin > Creams",
    "Kids > Toys > Puzzles",
    "Food > Deli > Cheese",
)
_BY_WEIGHT = CATEGORIES.index("Food > Deli > Cheese")
_BRANDS = ("Alder", "Birch & Co", "Cobalt", "Dune", "Ember", "Fjord", "Gale", "Hazel")
_COLOURS = ("black", "navy", "ivory", "moss", "rust", "sky")
CHANGES = 2


@dataclass(frozen=True)
class Catalogue:
    """SKUs by index, most arrays of one value a SKU.

    Attributes:
        ids: external ids.
        category: index into ``CATEGORIES``.
        base_price: minor units before any change.
        change_at: instants of price changes, (SKU, CHANGES); beyond the end where there is none.
        change_price: price from each change on.
        by_weight: sold by the kilogram.
        popularity: relative demand.
        by_category: SKU indices ordered by category; ``first_in`` is where each category begins there.
        products: the entity frame, all versions, in order of updated_at.
    """

    ids: pl.Series
    category: Ints
    base_price: Ints
    change_at: Ints
    change_price: Ints
    by_weight: Flags
    popularity: Floats
    by_category: Ints
    first_in: Ints
    products: pl.DataFrame

    def price(self, sku: Ints, instants: Ints) -> Ints:
        """Effective unit price in minor units of each SKU at each instant."""
        price = self.base_price[sku]
        for change in range(CHANGES):
            price = np.where(instants >= self.change_at[sku, change], self.change_price[sku, change], price)
        return price

    def popular(self, rng: np.random.Generator, count: int) -> Ints:
        """SKUs drawn by popularity."""
        return weighted(rng, self.popularity, count)

    def alike(self, rng: np.random.Generator, sku: Ints) -> Ints:
        """For each SKU, another (or the same) of its category."""
        category = self.category[sku]
        size = self.first_in[category + 1] - self.first_in[category]
        return self.by_category[self.first_in[category] + (rng.random(len(sku)) * size).astype(np.int64)]

    def quantity(self, rng: np.random.Generator, sku: Ints) -> Ints:
        """Thousandths that one add or one line takes: mostly one piece, or 50 g steps by weight."""
        pieces = 1_000 * weighted(rng, np.array([0.85, 0.11, 0.04]), len(sku)) + 1_000
        grams = 50 * rng.integers(2, 25, len(sku))
        return np.where(self.by_weight[sku], grams, pieces).astype(np.int64)


def build(config: SimulationConfig) -> Catalogue:
    """Catalogue with about one SKU in six changing its price once or twice in the simulated days."""
    rng = config.rng("catalogue")
    count = config.product_count
    category = np.arange(count, dtype=np.int64) % len(CATEGORIES)
    by_category = np.argsort(category, kind="stable").astype(np.int64)
    first_in = np.searchsorted(category[by_category], np.arange(len(CATEGORIES) + 1)).astype(np.int64)
    popularity = 1.0 / np.arange(1, count + 1) ** 1.05
    base_price = (np.exp(rng.normal(8.1, 0.8, count)) // 100 * 100 + 99).astype(np.int64)
    change_at, change_price = _price_changes(config, rng, base_price)
    plain = Catalogue(
        ids=numbered("sku-", count, 5),
        category=category,
        base_price=base_price,
        change_at=change_at,
        change_price=change_price,
        by_weight=category == _BY_WEIGHT,
        popularity=rng.permutation(popularity),
        by_category=by_category,
        first_in=first_in,
        products=pl.DataFrame(),
    )
    versions = [_first_versions(config, rng, plain), _changed_versions(config, plain), _withdrawn(config)]
    products = pl.concat(versions, how="diagonal")
    return Catalogue(**{**plain.__dict__, "products": products.sort("updated_at", "external_id", maintain_order=True)})


def _price_changes(config: SimulationConfig, rng: np.random.Generator, base: Ints) -> tuple[Ints, Ints]:
    count = len(base)
    never = config.end + DAY
    span = config.end - config.start
    at = np.full((count, CHANGES), never, dtype=np.int64)
    price = np.zeros((count, CHANGES), dtype=np.int64)
    current = base
    changes = np.where(rng.random(count) < 0.17, 1 + (rng.random(count) < 0.4), 0)
    for change in range(CHANGES):
        drawn = config.start + ((change + rng.random(count)) * span / CHANGES).astype(np.int64)
        at[:, change] = np.where(changes > change, drawn // MILLISECOND * MILLISECOND, never)
        factor = rng.choice(np.array([70, 80, 90, 95, 110, 120]), count)
        current = np.maximum(current * factor // 100, 49)
        price[:, change] = current
    return at, price


def _first_versions(config: SimulationConfig, rng: np.random.Generator, catalogue: Catalogue) -> pl.DataFrame:
    count = len(catalogue.ids)
    index = np.arange(count, dtype=np.int64)
    brand = gather(pl.Series(_BRANDS), rng.integers(0, len(_BRANDS), count))
    colour = gather(pl.Series(_COLOURS), rng.integers(0, len(_COLOURS), count))
    # Nine in ten SKUs are old; the rest were published shortly before or during the simulated days.
    new = rng.random(count) < 0.1
    age = np.where(new, rng.integers(0, 40, count), rng.integers(450, 800, count))
    published = np.minimum(config.start - age * DAY, config.start)
    made = np.full(count, config.start - 900 * DAY, dtype=np.int64)
    return pl.DataFrame(
        {
            "external_id": catalogue.ids,
            "updated_at": as_timestamps(made),
            "parent_id": gather(catalogue.ids, np.where((index % 6 == 1) & (index > 0), index - 1, -1)),
            "brand": brand,
            "category_path": gather(pl.Series(CATEGORIES), catalogue.category),
            "status": ["active"] * count,
            "price_minor": pl.Series(catalogue.base_price),
            "currency": [config.currency] * count,
            "list_price_minor": pl.Series(catalogue.base_price),
            "cost_minor": pl.Series(catalogue.base_price * 45 // 100),
            "url": "https://shop.example/p/" + catalogue.ids,
            "first_published_at": as_timestamps(published),
            "tax_class": ["standard"] * count,
            "unit": gather(pl.Series(["each", "kg"]), catalogue.by_weight.astype(np.int64)),
            "attributes": '{"colour":"' + colour + '"}',
        }
    ).with_columns(
        name=pl.col("brand")
        + pl.lit(" ")
        + colour
        + pl.lit(" ")
        + pl.col("category_path").str.split(" > ").list.last().str.to_lowercase()
    )


def _changed_versions(config: SimulationConfig, catalogue: Catalogue) -> pl.DataFrame:
    """One patch with the new price for each change: what is absent stays as it was."""
    sku, change = np.nonzero(catalogue.change_at < config.end)
    return pl.DataFrame(
        {
            "external_id": gather(catalogue.ids, sku.astype(np.int64)),
            "op": pl.Series(["patch"] * len(sku), dtype=pl.String),
            "updated_at": as_timestamps(catalogue.change_at[sku, change]),
            "price_minor": pl.Series(catalogue.change_price[sku, change]),
        }
    )


def _withdrawn(config: SimulationConfig) -> pl.DataFrame:
    """A draft that is deleted on the first day and that nobody ever saw."""
    return pl.DataFrame(
        {
            "external_id": ["sku-draft", "sku-draft"],
            "op": pl.Series([None, "delete"], dtype=pl.String),
            "updated_at": as_timestamps(np.array([config.start - 20 * DAY, config.start + HOUR])),
            "name": ["Unfinished", None],
            "category_path": [CATEGORIES[0], None],
            "status": ["draft", None],
            "price_minor": pl.Series([100, None], dtype=pl.Int64),
            "currency": [config.currency, None],
        }
    )
