"""Customers with contact details that cannot exist, visitors, and which visitor is which customer from when on.

Names, example.com addresses and numbers reserved for fiction only. What people do is in ``sessions`` and ``sales``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulator import merges as merging
from pipelines.simulator.merges import Merges
from pipelines.simulator.settings import (
    DAY,
    HISTORY_DAYS,
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
from pipelines.simulator.world import World

_FIRST = ("Ada", "Ben", "Chloë", "Dev", "Elif", "Femi", "Grace", "Hugo", "Iris", "Jun", "Kofi", "Lena", "Mona", "Noor")
_LAST = (
    "Archer",
    "Brook",
    "Carter",
    "Dyer",
    "Ellis",
    "Fletcher",
    "Gray",
    "Hobbs",
    "Ivers",
    "O'Neil",
    "Parker",
    "Quill",
)
_LOGIN_SHARE = 0.35
_EARLIER_SHARE = 0.45


@dataclass(frozen=True)
class People:
    """Customers and visitors by index.

    Attributes:
        customer_ids: external ids.
        visitor_ids: ``flockr_vid`` of each visitor.
        customer_of: customer index a visitor logs in as, -1 for those who never do.
        linked_before: instant of the link where it is older than the first day, else -1: made in a session.
        home: store index of each customer, -1 for none.
        spending: how much more than others a customer buys.
        mobile: device of each visitor: 0 mobile, 1 desktop, 2 other.
        app: the visitor uses the app.
        earlier_links: (visitor, customer, instant) of links that a later one replaced.
        merges: customers who are another one, by index.
    """

    customer_ids: pl.Series
    visitor_ids: pl.Series
    customer_of: Ints
    linked_before: Ints
    home: Ints
    spending: Floats
    device: Ints
    app: Flags
    earlier_links: tuple[Ints, Ints, Ints]
    merges: Merges


def build(config: SimulationConfig, world: World) -> People:
    """Draw visitors and customers; several visitors (devices) may be one customer."""
    rng = config.rng("people")
    visitors, customers = config.visitors, config.customer_count
    online = max(1, min(customers, int(visitors * _LOGIN_SHARE / 1.4)))
    logs_in = rng.random(visitors) < _LOGIN_SHARE
    customer_of = np.where(logs_in, rng.integers(0, online, visitors), -1)
    earlier = logs_in & (rng.random(visitors) < _EARLIER_SHARE)
    ago = rng.integers(DAY, 200 * DAY, visitors) // MILLISECOND * MILLISECOND
    linked_before = np.where(earlier, config.start - ago, -1)
    shared = np.flatnonzero(earlier & (rng.random(visitors) < 0.03))
    replaced = (shared, rng.integers(0, customers, len(shared)), linked_before[shared] - 5 * DAY)
    return People(
        customer_ids=numbered("cust-", customers),
        visitor_ids=numbered("vid-", visitors, 7),
        customer_of=customer_of,
        linked_before=linked_before,
        home=np.where(rng.random(customers) < 0.7, rng.integers(0, len(world.stores), customers), -1),
        spending=np.exp(rng.normal(0.0, 1.0, customers)),
        device=weighted(rng, np.array([0.6, 0.35, 0.05]), visitors),
        app=rng.random(visitors) < 0.15,
        earlier_links=replaced,
        merges=merging.draw(config, customers, np.r_[customer_of[logs_in], replaced[1]]),
    )


def customer_rows(config: SimulationConfig, people: People, world: World, opted_out: Ints) -> pl.DataFrame:
    """Every version of every customer: the first, later changes as patches, and second accounts that were merged.

    The indices ``opted_out`` name those who had opted out of e-mail before the first day.
    """
    rng = config.rng("customers")
    first = _first_versions(config, rng, people, world, opted_out)
    moved = np.flatnonzero(rng.random(len(first)) < 0.08).astype(np.int64)
    at = config.start + (rng.random(len(moved)) * (config.end - config.start)).astype(np.int64)
    stores = pl.Series([store.outlet_id for store in world.stores])
    moves = pl.DataFrame(
        {
            "external_id": gather(people.customer_ids, moved),
            "op": pl.Series(["patch"] * len(moved), dtype=pl.String),
            "updated_at": as_timestamps(at // MILLISECOND * MILLISECOND),
            "home_outlet_id": gather(stores, rng.integers(0, len(stores), len(moved))),
        }
    )
    merged = _merged(config, rng, people)
    others = merging.rows(people, first)
    return pl.concat([first, moves, merged, others], how="diagonal").sort(
        "updated_at", "external_id", maintain_order=True
    )


def _first_versions(
    config: SimulationConfig, rng: np.random.Generator, people: People, world: World, opted_out: Ints
) -> pl.DataFrame:
    count = len(people.customer_ids)
    index = pl.Series(np.arange(count))
    first = gather(pl.Series(_FIRST), rng.integers(0, len(_FIRST), count))
    last = gather(pl.Series(_LAST), rng.integers(0, len(_LAST), count))
    registered = config.start - (HISTORY_DAYS + rng.integers(1, 500, count)) * DAY
    birth = rng.integers(-12_000, 13_000, count).astype(np.int32)
    status = np.zeros(count, dtype=np.int64)
    status[opted_out] = 1
    district = pl.Series(rng.integers(1, 30, count)).cast(pl.String)
    address = '{"line1":"' + index.cast(pl.String) + ' Example Street","city":"Sampleton","postal_code":"ZZ' + district
    has_phone = pl.Series(rng.random(count) < 0.7)
    updated = as_timestamps(registered)
    channel_status = gather(pl.Series(["opted_in", "opted_out"]), status)
    text = updated.dt.to_string("%Y-%m-%dT%H:%M:%SZ")
    consent = '[{"channel":"email","status":"' + channel_status + '","updated_at":"' + text + '","source":"signup"}]'
    phone = "+447700900" + (index % 1000).cast(pl.String).str.zfill(3)
    stores = pl.Series([store.outlet_id for store in world.stores])
    return pl.DataFrame(
        {
            "external_id": people.customer_ids,
            "updated_at": updated,
            "email": "customer" + index.cast(pl.String) + "@example.com",
            "phone": phone.zip_with(has_phone, pl.Series([None] * count, dtype=pl.String)),
            "first_name": first,
            "last_name": last,
            "birth_date": pl.Series(birth).cast(pl.Date),
            "address": address + ' 1ZZ","country":"GB"}',
            "gender": gather(pl.Series(["female", "male"]), rng.integers(-1, 2, count)),
            "loyalty_card_number": "LC" + index.cast(pl.String).str.zfill(8),
            "home_outlet_id": gather(stores, people.home),
            "registered_at": updated,
            "language": ["en-GB"] * count,
            "country": ["GB"] * count,
            "status": ["active"] * count,
            "consents": consent,
        }
    )


def _merged(config: SimulationConfig, rng: np.random.Generator, people: People) -> pl.DataFrame:
    """Second accounts that never bought anything, made before the first day and merged in the simulated days."""
    count = max(2, len(people.customer_ids) // 200)
    into = gather(people.customer_ids, rng.integers(0, len(people.customer_ids), count))
    made = as_timestamps(config.start - rng.integers(10, 90, count) * DAY)
    at = config.start + (rng.random(count) * (config.end - config.start)).astype(np.int64)
    base = {
        "external_id": numbered("cust-second-", count, 4),
        "email": "second" + numbered("", count) + "@example.com",
        "registered_at": made,
        "status": ["active"] * count,
    }
    versions = [
        pl.DataFrame({**base, "updated_at": made}),
        pl.DataFrame({**base, "updated_at": as_timestamps(at // MILLISECOND * MILLISECOND), "merged_into": into}),
    ]
    return pl.concat(versions, how="diagonal")
