"""Campaigns: who is selected, which links they get, what becomes of the messages, who opts out.

Clicks of people who have a device become sessions in ``sessions``; orders after them carry the campaign.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl

from pipelines.simulator import log
from pipelines.simulator.catalogue import Catalogue
from pipelines.simulator.people import People
from pipelines.simulator.settings import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    Flags,
    Floats,
    Ints,
    SimulationConfig,
    as_timestamps,
    gather,
    numbered,
    wall_to_utc,
    weighted,
)
from pipelines.simulator.world import NATIONAL

LINKS_EACH = 4
SKUS_EACH = 5
_TYPES = ("discount_coupon", "promotion", "loyalty", "message")
_FUNNEL = {"failed": 0.03, "opened": 0.4, "clicked": 0.3, "bot": 0.05, "unsubscribed": 0.012}


@dataclass(frozen=True)
class Audience:
    """One campaign's selected customers, in order of customer index."""

    customers: Ints
    control: Flags
    suppressed: Flags


@dataclass(frozen=True)
class Campaigns:
    """What campaigns are and did.

    Attributes:
        campaigns, campaign_customers, links, opt_outs: entity frames.
        ids: campaign ids; ``link_ids`` has LINKS_EACH ids for each campaign.
        events: rows of the log.
        clicks: frame of (t, visitor, campaign, product): human clicks on a device that become sessions.
        percent_off: discount of each campaign.
    """

    campaigns: pl.DataFrame
    campaign_customers: pl.DataFrame
    links: pl.DataFrame
    opt_outs: pl.DataFrame
    ids: pl.Series
    link_ids: pl.Series
    events: pl.DataFrame
    clicks: pl.DataFrame
    percent_off: Ints


def earlier_opt_outs(config: SimulationConfig, people: People) -> tuple[Ints, Ints]:
    """Customers that opted out of e-mail before the first day, and when."""
    rng = config.rng("earlier opt-outs")
    who = np.flatnonzero(rng.random(len(people.customer_ids)) < 0.04).astype(np.int64)
    return who, _whole(config.start - rng.random(len(who)) * 300 * DAY)


def build(config: SimulationConfig, people: People, catalogue: Catalogue, out: tuple[Ints, Ints]) -> Campaigns:
    """Launch campaigns over the days, in order, so that an opt-out keeps its customer out of the next ones."""
    rng = config.rng("campaigns")
    count = max(2, config.days // 6)
    day = np.sort(rng.integers(0, max(1, config.days - 1), count)).astype(np.int64)
    launch = wall_to_utc(day, np.full(count, 10 * HOUR), config.first, config.zone)
    skus = np.stack([catalogue.popular(rng, SKUS_EACH) for _ in range(count)])
    percent_off = rng.choice(np.array([10, 15, 20]), count)
    opted_out_at = np.full(len(people.customer_ids), config.end + DAY, dtype=np.int64)
    opted_out_at[out[0]] = out[1]
    audiences, events = [], []
    for campaign in range(count):
        audience = _audience(rng, len(people.customer_ids), opted_out_at <= launch[campaign])
        rows = _messages(rng, config, people, audience, campaign, int(launch[campaign]))
        gone = rows.filter(pl.col("name") == log.UNSUBSCRIBED, pl.col("t") < config.end)
        opted_out_at[gone["customer"].to_numpy()] = gone["t"].to_numpy()
        audiences.append(audience)
        events.append(rows)
    everything = pl.concat(events)
    ids = numbered("camp-", count, 4)
    link_ids = numbered("link-", count * LINKS_EACH, 5)
    return Campaigns(
        campaigns=_campaign_rows(config, catalogue, ids, launch, skus, percent_off),
        campaign_customers=_selected(people, ids, launch, audiences),
        links=_link_rows(catalogue, ids, link_ids, launch, skus),
        opt_outs=_opt_out_rows(config, people, ids, everything, out),
        ids=ids,
        link_ids=link_ids,
        events=everything,
        clicks=_sessions_of(everything, skus),
        percent_off=percent_off,
    )


def _whole(instants: Floats) -> Ints:
    whole: Ints = instants.astype(np.int64) // MILLISECOND * MILLISECOND
    return whole


def _audience(rng: np.random.Generator, customers: int, opted_out: Flags) -> Audience:
    chosen = np.flatnonzero(rng.random(customers) < 0.15).astype(np.int64)
    control = rng.random(len(chosen)) < 0.1
    return Audience(chosen, control, opted_out[chosen])


def _messages(
    rng: np.random.Generator, config: SimulationConfig, people: People, audience: Audience, campaign: int, launch: int
) -> pl.DataFrame:
    """Message events of one campaign: sent, delivered or failed, opened, clicked by people and bots, unsubscribed."""
    who = audience.customers[~audience.control & ~audience.suppressed]
    count = len(who)
    message = campaign * 10_000_000 + who
    sent = _whole(launch + rng.random(count) * 20 * MINUTE)
    done = sent + _whole(SECOND + rng.random(count) * 40 * SECOND)
    failed = rng.random(count) < _FUNNEL["failed"]
    opened = ~failed & (rng.random(count) < _FUNNEL["opened"])
    opened_at = done + _whole(rng.exponential(9 * HOUR, count) + MINUTE)
    clicked = opened & (rng.random(count) < _FUNNEL["clicked"])
    clicked_at = opened_at + _whole(rng.exponential(90 * SECOND, count) + 2 * SECOND)
    left = opened & ~clicked & (rng.random(count) < _FUNNEL["unsubscribed"])
    visitor = _device_of(rng, config, people)[who]
    device = np.where(visitor >= 0, people.device[visitor], rng.integers(0, 2, count))
    link = campaign * LINKS_EACH + weighted(rng, 1.0 / np.arange(1, LINKS_EACH + 1), count)
    bot = ~failed & (rng.random(count) < _FUNNEL["bot"])
    common = {"campaign": campaign, "channel": log.CHANNELS.index("email")}

    def rows(name: int, mask: Flags, at: Ints, **more: Ints | int) -> pl.DataFrame:
        columns = {key: value[mask] if isinstance(value, np.ndarray) else value for key, value in more.items()}
        picked = {"t": at[mask], "customer": who[mask], "message": message[mask]}
        return log.piece(int(mask.sum()), name=name, **picked, **columns, **common)

    # A click is the moment at which the shop learns which device the customer reads on, so it names both.
    return pl.concat(
        [
            rows(log.SENT, np.ones(count, dtype=bool), sent),
            rows(log.DELIVERED, ~failed, done),
            rows(log.FAILED, failed, done, failure=rng.integers(0, len(log.FAILURES), count)),
            rows(log.OPENED, opened, opened_at, device=device),
            rows(log.CLICKED, clicked, clicked_at, device=device, agent=0, link=link, visitor=visitor),
            rows(log.UNSUBSCRIBED, left, clicked_at),
            _scans(who[bot], done[bot], message[bot], campaign),
        ]
    )


def _scans(who: Ints, delivered: Ints, message: Ints, campaign: int) -> pl.DataFrame:
    """Clicks of mail scanners: every link of a message within seconds of its delivery."""
    every = np.tile(np.arange(LINKS_EACH, dtype=np.int64), len(who))
    return log.piece(
        len(every),
        name=log.CLICKED,
        t=np.repeat(delivered, LINKS_EACH) + (1 + every) * 700 * MILLISECOND,
        customer=np.repeat(who, LINKS_EACH),
        message=np.repeat(message, LINKS_EACH),
        link=campaign * LINKS_EACH + every,
        device=2,
        agent=1,
        campaign=campaign,
        channel=log.CHANNELS.index("email"),
    )


def _device_of(rng: np.random.Generator, config: SimulationConfig, people: People) -> Ints:
    """A visitor of each customer that was linked before the first day, -1 for none."""
    device = np.full(len(people.customer_ids), -1, dtype=np.int64)
    linked = rng.permutation(np.flatnonzero(people.linked_before >= 0))
    device[people.customer_of[linked]] = linked
    return device


def _sessions_of(events: pl.DataFrame, skus: Ints) -> pl.DataFrame:
    clicks = events.filter(pl.col("name") == log.CLICKED, pl.col("agent") == 0, pl.col("visitor").is_not_null()).select(
        "t", "visitor", "campaign", "link"
    )
    campaign = clicks["campaign"].to_numpy()
    slot = clicks["link"].to_numpy() - campaign * LINKS_EACH
    return clicks.select("t", "visitor", "campaign", product=pl.Series(skus[campaign, slot]))


def _campaign_rows(
    config: SimulationConfig, catalogue: Catalogue, ids: pl.Series, launch: Ints, skus: Ints, percent_off: Ints
) -> pl.DataFrame:
    """Three versions of each campaign: scheduled, live at launch, ended a week later where that is in the days."""
    count = len(ids)
    created = launch - 6 * DAY
    ended = launch + 7 * DAY
    base = {
        "external_id": ids,
        "name": "Campaign " + pl.Series(range(1, count + 1)).cast(pl.String),
        "type": gather(pl.Series(_TYPES), np.arange(count, dtype=np.int64) % len(_TYPES)),
        "channel": ["email"] * count,
        "starts_at": as_timestamps(launch),
        "ends_at": as_timestamps(ended),
        "created_at": as_timestamps(created),
        "timezone": [config.zone.key] * count,
        "external_ref": "EXT-" + ids,
        "group_id": [NATIONAL] * count,
        "products": [_offers(catalogue, row, int(off)) for row, off in zip(skus, percent_off, strict=True)],
        "attribution_window_days": pl.Series([7] * count),
    }
    launched = {"launched_at": as_timestamps(launch)}
    stages = [
        ("scheduled", created, {}),
        ("live", launch, launched),
        ("ended", ended, {**launched, "ended_at": as_timestamps(ended)}),
    ]
    versions = pl.concat(
        [
            pl.DataFrame({**base, "status": [status] * count, "updated_at": as_timestamps(at), **more})
            for status, at, more in stages
        ],
        how="diagonal",
    )
    return versions.filter(pl.col("updated_at").to_physical() < config.end).sort("updated_at", "external_id")


def _offers(catalogue: Catalogue, skus: Ints, percent_off: int) -> str:
    """Products of a campaign as JSON, each SKU once; one place promotes nothing but qualifies."""
    offer = {"offer_type": "percent", "offer_value": str(percent_off)}
    roles = ["promoted"] * (SKUS_EACH - 1) + ["qualifying"]
    named = dict.fromkeys(skus.tolist())
    return json.dumps(
        [{"product_id": catalogue.ids[sku], "role": role, **offer} for sku, role in zip(named, roles, strict=False)]
    )


def _selected(people: People, ids: pl.Series, launch: Ints, audiences: list[Audience]) -> pl.DataFrame:
    frames = []
    for campaign, audience in enumerate(audiences):
        count = len(audience.customers)
        at = as_timestamps(np.full(count, launch[campaign] - HOUR))
        reason = np.where(audience.suppressed & ~audience.control, 0, -1)
        frames.append(
            pl.DataFrame(
                {
                    "updated_at": at,
                    "campaign_id": pl.Series([ids[campaign]] * count, dtype=pl.String),
                    "customer_id": gather(people.customer_ids, audience.customers),
                    "variant": gather(pl.Series(["treatment", "control"]), audience.control.astype(np.int64)),
                    "selected_at": at,
                    "channel": pl.Series(["email"] * count, dtype=pl.String),
                    "suppression_reason": gather(pl.Series(["opted_out"]), reason),
                }
            )
        )
    return pl.concat(frames)


def _link_rows(catalogue: Catalogue, ids: pl.Series, link_ids: pl.Series, launch: Ints, skus: Ints) -> pl.DataFrame:
    count = len(link_ids)
    campaign, position = np.divmod(np.arange(count, dtype=np.int64), LINKS_EACH)
    product = gather(catalogue.ids, skus[campaign, position])
    number = pl.Series(position + 1)
    return pl.DataFrame(
        {
            "external_id": link_ids,
            "updated_at": as_timestamps(launch[campaign] - 2 * HOUR),
            "campaign_id": gather(ids, campaign),
            "destination_url": "https://shop.example/p/" + product,
            "short_url": "https://s.example/" + link_ids,
            "label": "Tile " + number.cast(pl.String),
            "position": number,
            "product_id": product,
            "channel": ["email"] * count,
        }
    )


def _opt_out_rows(
    config: SimulationConfig, people: People, ids: pl.Series, events: pl.DataFrame, out: tuple[Ints, Ints]
) -> pl.DataFrame:
    """Earlier opt-outs (one in ten by contact instead of customer), those of unsubscribers, and a few opt-ins later."""
    rng = config.rng("opt-outs")
    left = events.filter(pl.col("name") == log.UNSUBSCRIBED, pl.col("t") < config.end)
    who = np.concatenate([out[0], left["customer"].to_numpy()])
    at = np.concatenate([out[1], left["t"].to_numpy()])
    campaign = np.concatenate([np.full(len(out[0]), -1), left["campaign"].to_numpy()]).astype(np.int64)
    by_contact = (campaign < 0) & (rng.random(len(who)) < 0.1)
    back = np.flatnonzero((campaign < 0) & ~by_contact & (rng.random(len(who)) < 0.05))
    returned = _whole(config.start + rng.random(len(back)) * (config.end - config.start))
    who, at = np.concatenate([who, who[back]]), np.concatenate([at, returned])
    campaign = np.concatenate([campaign, np.full(len(back), -1)])
    by_contact = np.concatenate([by_contact, np.zeros(len(back), dtype=bool)])
    opt_in = np.arange(len(who)) >= len(who) - len(back)
    reason = np.where(campaign >= 0, 0, np.where(opt_in, 2, np.where(by_contact, 1, 2)))
    frame = pl.DataFrame(
        {
            "updated_at": as_timestamps(at),
            "customer_id": gather(people.customer_ids, np.where(by_contact, -1, who)),
            "contact": pl.Series(
                [f"customer{c}@example.com" if b else None for c, b in zip(who, by_contact, strict=True)],
                dtype=pl.String,
            ),
            "channel": ["email"] * len(who),
            "scope": ["all"] * len(who),
            "campaign_id": gather(ids, campaign),
            "action": gather(pl.Series(["opt_out", "opt_in"]), opt_in.astype(np.int64)),
            "reason": gather(pl.Series(["unsubscribe_link", "stop_keyword", "preference_centre"]), reason),
            "source": ["web"] * len(who),
            "occurred_at": as_timestamps(at),
        }
    ).sort("occurred_at", "customer_id", "contact")
    return frame.insert_column(0, numbered("oo-", len(frame)).alias("external_id"))
