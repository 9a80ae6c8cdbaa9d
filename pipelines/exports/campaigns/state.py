"""What is true of campaigns at the end of one day: who was selected, what was sent, clicked, bought and declined.

The five files are views of this, so that their figures add up.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from pipelines.calendar import Day
from pipelines.exports.campaigns.inputs import CLICKED, CampaignInputs, as_of, newest
from pipelines.exports.campaigns.people import held, holders, of_contacts

DEFAULT_WINDOW_DAYS = 7

#: Without these a record is not usable: a patch may have come before the record that it patches.
NEEDED = {
    "campaigns": ("name", "type", "channel"),
    "campaign_customers": ("campaign_id", "customer_id", "variant", "selected_at", "channel"),
    "links": ("campaign_id", "destination_url"),
    "opt_outs": ("channel", "scope", "action", "reason", "occurred_at"),
}


@dataclass(frozen=True)
class CampaignState:
    """Frames as of the end of a day.

    Attributes:
        day: the day.
        campaigns: one row a campaign, ``external_id`` as ``campaign_id``, with ``window_days`` and ``created`` filled.
        selections: one row a campaign and customer.
        links: one row a link, ``external_id`` as ``link_id``.
        opt_outs: one row an opt-out or opt-in, ``campaign_id`` taken from the link where it was not given, and
            ``customer_id`` from the contact where only one customer had it.
        sharers: opt_out and customer_id: the customers of opt-outs whose contact several had.
        messages: event_name, campaign_id, customer_id, occurred_at, external_id, failure_code; opens by bots left out.
        clicks: external_id, link_id, campaign_id of the link, occurred_at, customer_id, person, is_bot, device_type.
        conversions: order_id, customer_id, occurred_at, net_minor, discount_minor, currency, campaign_id, link_id.
        incomplete: records left out because a needed field is missing, by ``<entity>.incomplete``.
    """

    day: Day
    campaigns: pl.DataFrame
    selections: pl.DataFrame
    links: pl.DataFrame
    opt_outs: pl.DataFrame
    sharers: pl.DataFrame
    messages: pl.DataFrame
    clicks: pl.DataFrame
    conversions: pl.DataFrame
    incomplete: dict[str, int]


def campaign_state(inputs: CampaignInputs, day: Day) -> CampaignState:
    """Cut the inputs at the end of a day."""
    standing = holders(inputs.merges, day)
    events = held(with_customers(inputs.events.filter(pl.col("occurred_at") < day.end), inputs.identity), standing)
    found = {entity: as_of(history, day.end) for entity, history in inputs.histories.items()}
    found["links"] = _links(inputs, events, day)
    usable = {entity: rows.drop_nulls(NEEDED[entity]) for entity, rows in found.items()}
    campaigns, links = _campaigns(usable["campaigns"], inputs), usable["links"]
    clicks = link_clicks(events, links)
    orders = held(inputs.orders.filter(pl.col("occurred_at") < day.end), standing)
    declined = _opt_outs(usable["opt_outs"], links, day)
    people = of_contacts(declined, inputs.contacts, standing, day)
    alone = people.filter(~pl.col("opt_out").is_duplicated())
    return CampaignState(
        day=day,
        campaigns=campaigns,
        selections=_selections(held(usable["campaign_customers"], standing), day),
        links=links,
        opt_outs=_of_customers(held(declined, standing), alone),
        sharers=people.join(alone, on="opt_out", how="anti"),
        messages=_messages(events),
        clicks=clicks,
        conversions=conversions(clicks, orders, campaigns),
        incomplete={
            f"{entity}.incomplete": missing
            for entity, rows in found.items()
            if (missing := rows.height - usable[entity].height)
        },
    )


def _first_seen(history: pl.DataFrame) -> pl.DataFrame:
    return history.group_by("external_id").agg(pl.col("effective_from").min().alias("first_seen"))


def _campaigns(campaigns: pl.DataFrame, inputs: CampaignInputs) -> pl.DataFrame:
    return (
        campaigns.join(_first_seen(inputs.histories["campaigns"]), on="external_id", how="left")
        .with_columns(
            pl.coalesce("created_at", "first_seen").alias("created"),
            pl.col("attribution_window_days").fill_null(DEFAULT_WINDOW_DAYS).alias("window_days"),
            pl.coalesce("updated_at", "effective_from").alias("updated"),
        )
        .rename({"external_id": "campaign_id"})
    )


def _selections(selections: pl.DataFrame, day: Day) -> pl.DataFrame:
    """One a campaign and customer: of people who turned out to be one, the selection that changed last."""
    return (
        selections.filter(pl.col("selected_at") < day.end)
        .sort("campaign_id", "customer_id", "effective_from", "external_id")
        .unique(["campaign_id", "customer_id"], keep="last", maintain_order=True)
        .with_columns(pl.coalesce("updated_at", "effective_from").alias("updated"))
    )


def _links(inputs: CampaignInputs, events: pl.DataFrame, day: Day) -> pl.DataFrame:
    """Links as they were at the end of the day; one clicked before its first version is as that version says."""
    history = inputs.histories["links"]
    clicked = events.filter(pl.col("event_name") == CLICKED)["link_id"].drop_nulls().unique()
    first = pl.col("effective_from") == pl.col("effective_from").min().over("external_id")
    early = history.filter(first & pl.col("external_id").is_in(clicked.implode()) & ~pl.col("is_deleted"))
    known = history.filter(pl.col("effective_from") < day.end)
    return (
        newest(pl.concat([known, early.join(known, on="external_id", how="anti")]))
        .filter(~pl.col("is_deleted"))
        .with_columns(pl.coalesce("updated_at", "effective_from").alias("updated"))
        .rename({"external_id": "link_id"})
    )


def _opt_outs(opt_outs: pl.DataFrame, links: pl.DataFrame, day: Day) -> pl.DataFrame:
    through = links.select("link_id", pl.col("campaign_id").alias("link_campaign_id"))
    return (
        opt_outs.filter(pl.col("occurred_at") < day.end)
        .join(through, on="link_id", how="left")
        .with_columns(pl.coalesce("campaign_id", "link_campaign_id").alias("campaign_id"))
    )


def _of_customers(opt_outs: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Opt-outs of a contact get the customer who had it."""
    found = people.rename({"opt_out": "external_id", "customer_id": "_customer_id"})
    return (
        opt_outs.join(found, on="external_id", how="left")
        .with_columns(pl.coalesce("customer_id", "_customer_id").alias("customer_id"))
        .drop("_customer_id")
    )


def with_customers(events: pl.DataFrame, identity: pl.DataFrame) -> pl.DataFrame:
    """Events whose visitor was a known customer at that instant get the customer; one that is named stays.

    The newest fact at or before the event decides.
    """
    facts = (
        identity.sort("occurred_at", "customer_id")
        .unique(["flockr_vid", "occurred_at"], keep="last", maintain_order=True)
        .rename({"customer_id": "linked_customer_id"})
        .sort("occurred_at")
    )
    return (
        events.sort("occurred_at", "external_id")
        .join_asof(facts, on="occurred_at", by="flockr_vid", strategy="backward", check_sortedness=False)
        .with_columns(pl.coalesce("customer_id", "linked_customer_id").alias("customer_id"))
        .drop("linked_customer_id")
    )


def _messages(events: pl.DataFrame) -> pl.DataFrame:
    opened_by_bot = (pl.col("event_name") == "Message Opened") & (pl.col("agent_class") == "bot").fill_null(False)
    return events.filter((pl.col("event_name") != CLICKED) & ~opened_by_bot).select(
        "event_name", "campaign_id", "customer_id", "occurred_at", "external_id", "failure_code"
    )


def link_clicks(events: pl.DataFrame, links: pl.DataFrame) -> pl.DataFrame:
    """Clicks on known links; the campaign is the link's.

    ``person`` is the customer, else the visitor, else the event; ``is_bot`` is what the sender said in ``agent_class``.
    """
    person = pl.coalesce(
        pl.lit("c:") + pl.col("customer_id"), pl.lit("v:") + pl.col("flockr_vid"), pl.lit("e:") + pl.col("external_id")
    )
    return (
        events.filter(pl.col("event_name") == CLICKED)
        .drop("campaign_id")
        .join(links.select("link_id", "campaign_id"), on="link_id", how="inner")
        .select(
            "external_id",
            "link_id",
            "campaign_id",
            "occurred_at",
            "customer_id",
            person.alias("person"),
            (pl.col("agent_class") == "bot").fill_null(False).alias("is_bot"),
            "device_type",
        )
    )


def conversions(clicks: pl.DataFrame, orders: pl.DataFrame, campaigns: pl.DataFrame) -> pl.DataFrame:
    """Orders that follow a click of the same customer within the campaign's attribution window.

    An order counts once, for the latest of those clicks over all campaigns; the window is ``[click, click + days * 24
    h)``.
    """
    windows = campaigns.select("campaign_id", "window_days")
    seen = clicks.filter(~pl.col("is_bot") & pl.col("customer_id").is_not_null()).select(
        "customer_id", "campaign_id", "link_id", pl.col("occurred_at").alias("clicked_at"), "external_id"
    )
    length = pl.duration(days=pl.col("window_days").fill_null(DEFAULT_WINDOW_DAYS))
    return (
        orders.join(seen, on="customer_id", how="inner")
        .join(windows, on="campaign_id", how="left")
        .filter(
            (pl.col("clicked_at") <= pl.col("occurred_at")) & (pl.col("occurred_at") < pl.col("clicked_at") + length)
        )
        .sort("order_id", "clicked_at", "external_id")
        .unique("order_id", keep="last", maintain_order=True)
        .select(*orders.columns, "campaign_id", "link_id")
    )
