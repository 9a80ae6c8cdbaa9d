"""Referral programme events in both payload shapes, names unknown to anyone included, and exchange rates."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.simulator.people import People
from pipelines.simulator.settings import (
    HOUR,
    SECOND,
    Ints,
    SimulationConfig,
    as_timestamps,
    gather,
    numbered,
    wall_to_utc,
)
from pipelines.simulator.world import foreign_currency

#: A referral goes through these in order; the last three only where it is accepted.
NAMES = (
    "referrer.visited",
    "referrer.shared",
    "invitee.visited",
    "referral.sparkled",
    "invitee.accepted",
    "referral.flagged",
    "referral.accepted",
    "reward.provisioned",
    "reward.fulfilled",
)
_CHANCE = np.array([1.0, 0.9, 0.7, 0.05, 0.6, 0.1, 0.55, 0.55, 0.4])


def build(config: SimulationConfig, people: People, campaign_ids: pl.Series) -> pl.DataFrame:
    """Referral events by occurred_at, whole seconds; shape B carries no people, only the entity id."""
    rng = config.rng("referrals")
    count = max(3, len(people.customer_ids) // 60)
    draw = rng.random(count)
    # One draw a referral: it gets as far as its luck, so that no reward comes without an acceptance.
    reached = draw[:, None] < _CHANCE
    reached[:, 3] = rng.random(count) < _CHANCE[3]
    reached[:, 5] = rng.random(count) < _CHANCE[5]
    referral, name = (axis.astype(np.int64) for axis in np.nonzero(reached))
    begin = config.start + (rng.random(count) * (config.end - config.start)).astype(np.int64)
    wait = (1 + name) * HOUR + (rng.random(len(name)) * HOUR).astype(np.int64)
    t = (begin[referral] + wait) // SECOND * SECOND
    shape_b = rng.random(len(name)) < 0.3
    pairs = rng.integers(0, len(people.customer_ids), (2, count))
    rewarded = np.char.startswith(np.array(NAMES)[name], "reward")
    campaign = rng.integers(0, len(campaign_ids), count)
    ids = numbered("ref-", count, 5)

    def shape_a(values: pl.Series, index: Ints) -> pl.Series:
        return gather(values, np.where(shape_b, -1, index))

    frame = pl.DataFrame(
        {
            "name": gather(pl.Series(NAMES), name),
            "occurred_at": as_timestamps(t),
            "referral_entity": gather(pl.Series(["referral", "reward"]), rewarded.astype(np.int64)),
            "entity_id": gather(ids, referral),
            "campaign_id": gather(campaign_ids, campaign[referral]),
            "referrer_id": shape_a(people.customer_ids, pairs[0][referral]),
            "invitee_id": shape_a(people.customer_ids, pairs[1][referral]),
            "invitee_reward_id": shape_a("rwd-i-" + ids, np.where(rewarded, referral, -1)),
            "referrer_reward_id": shape_a("rwd-r-" + ids, np.where(rewarded, referral, -1)),
            "organization_id": gather(pl.Series(["org-1"]), np.where(shape_b, 0, -1)),
            "application_id": gather(pl.Series(["app-1"]), np.where(shape_b, 0, -1)),
            "shape": gather(pl.Series(["A", "B"]), shape_b.astype(np.int64)),
        }
    )
    return frame.filter(pl.Series(t < config.end)).sort("occurred_at", "entity_id", "name")


def rates(config: SimulationConfig) -> pl.DataFrame:
    """The rate of each day between the tenant's currency and the stores' abroad, both ways, in parts per million."""
    rng = config.rng("rates")
    days = np.arange(config.days, dtype=np.int64)
    ppm = (1_170_000 + np.cumsum(rng.integers(-2_000, 2_001, config.days))).astype(np.int64)
    at = wall_to_utc(days, np.full(config.days, 6 * HOUR), config.first, config.zone)
    dates = pl.Series([config.date_of(int(day)) for day in days], dtype=pl.Date)
    ways = [
        (config.currency, foreign_currency(config), ppm),
        (foreign_currency(config), config.currency, 1_000_000_000_000 // ppm),
    ]
    frames = [
        pl.DataFrame(
            {
                "updated_at": as_timestamps(at),
                "rate_date": dates,
                "from_currency": [source] * config.days,
                "to_currency": [target] * config.days,
                "rate_ppm": pl.Series(rate),
            }
        )
        for source, target, rate in ways
    ]
    return pl.concat(frames).sort("updated_at", "from_currency")
