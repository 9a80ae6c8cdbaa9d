"""Naive rows of every stream from rows of the tables, in plain Python; instants are microseconds in both.

Tables are lists of dictionaries with the columns of their contracts (those that are read), timestamps as microseconds.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

INF = 2**63 - 1
ACTS = ("view", "add", "remove", "wishlist", "unwishlist", "alert", "checkout")


def row(subject, at, since=None, until=INF, **fields):
    return {"subject": subject, "at": at, "since": at if since is None else since, "until": until, **fields}


def all_streams(tables, currency, start, zone):
    """Rows by relation; ``start`` is the first instant of the day that categories are asked for."""
    found = {"product_crossing": crossings(tables)}
    found |= visitors(tables, found["product_crossing"], zone)
    found |= customers(tables, currency)
    found["customer_category"] = categories(tables, currency, start)
    return found


def crossings(tables):
    return [
        row(None, c["effective_at"], signal=c["signal_id"], product_id=c["subject"], from_state=c["from_state"],
            to_state=c["to_state"])
        for c in tables["signal_crossings"]
        if c["suppressed_by"] is None and c.get("place") is None
    ]  # fmt: skip


# Visitors


def visitors(tables, moved, zone):
    acts = tables["visitor_acts"]
    found = {f"visitor_{name}": [] for name in ACTS}
    for act in acts:
        fields = {name: act[name] for name in ("product_id", "category", "session_id", "outlet_id")}
        fields["times"] = act["count"]
        if act["act"] == "view":
            fields |= session(acts, act)
        found[f"visitor_{act['act']}"].append(row(act["flockr_vid"], act["occurred_at"], **fields))
    found["visitor_buy"] = [
        row(b["flockr_vid"], b["ordered_at"], product_id=b["product_id"], category=b["category"],
            order_id=b["order_id"], discounted=b["discounted"])
        for b in tables["visitor_purchases"]
    ]  # fmt: skip
    orders = tables["visitor_orders"]
    found["visitor_order"] = [row(o["flockr_vid"], o["ordered_at"], order_id=o["order_id"]) for o in orders]
    found["visitor_activity"] = [row(d["flockr_vid"], d["last_at"]) for d in tables["visitor_daily"]]
    found["visitor_scarce_day"] = scarce_days(found, moved, zone)
    return found


def session(acts, view):
    """The session so far, the view included; a view without one is a session of its own."""
    if view["session_id"] is None:
        return {"session_products": 1, "session_repeats": view["count"], "session_adds": 0}
    times, adds = {}, 0
    for act in acts:
        same = (act["flockr_vid"], act["session_id"]) == (view["flockr_vid"], view["session_id"])
        if same and act["occurred_at"] <= view["occurred_at"]:
            if act["act"] == "view":
                times[act["product_id"]] = times.get(act["product_id"], 0) + act["count"]
            elif act["act"] == "add":
                adds += act["count"]
    return {"session_products": len(times), "session_repeats": max(times.values()), "session_adds": adds}


def scarce_days(found, moved, zone):
    days = {}
    for view in found["visitor_view"]:
        day = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=view["at"])).astimezone(zone).date()
        days.setdefault((day, view["subject"], view["product_id"]), []).append(view)
    shown = []
    for (_, subject, product), views in days.items():
        first = min(view["at"] for view in views)
        scarce = any(scarcity(moved, product, view["at"]) in ("low", "critical") for view in views)
        done = [
            act["at"]
            for act in found["visitor_add"] + found["visitor_buy"]
            if (act["subject"], act["product_id"]) == (subject, product)
            and any(view["at"] <= act["at"] <= view["at"] + 86_400_000_000 for view in views)
        ]
        converted = min(done, default=INF)
        fields = {"product_id": product, "scarce": scarce}
        if first < converted:
            shown.append(row(subject, first, until=converted, converted=False, **fields))
        if converted < INF:
            shown.append(row(subject, first, since=converted, converted=True, **fields))
    return shown


def scarcity(moved, product, at):
    before = [
        (c["at"], c["to_state"])
        for c in moved
        if c["signal"] == "scarcity_state" and c["product_id"] == product and c["at"] <= at
    ]
    return max(before)[1] if before else None


# Customers


def holder(tables, customer, x):
    """For whom an id stands at ``x``, so that a piece begins with the instant of the merge."""
    said = [m for m in tables["customer_merges"] if m["external_id"] == customer and m["effective_from"] <= x]
    return max(said, key=lambda m: m["effective_from"])["customer_id"] if said else customer


def pieces(tables, customer, rows):
    """Rows of an id as rows of the customers it stands for in turn."""
    if customer is None:
        return
    cuts = sorted({m["effective_from"] for m in tables["customer_merges"] if m["external_id"] == customer})
    for each in rows:
        edges = [each["since"], *(cut for cut in cuts if each["since"] < cut < each["until"]), each["until"]]
        for since, until in pairwise(edges):
            if since < until:
                yield {**each, "subject": holder(tables, customer, since), "since": since, "until": until}


def customers(tables, currency):
    found = {name: [] for name in (
        "customer_order", "customer_spend", "customer_sold", "customer_returned", "customer_campaign_order",
        "customer_link_click", "customer_referral_accepted", "customer_referral_flagged", "customer_opt_out",
    )}  # fmt: skip
    for sale in tables["customer_orders"]:
        if sale["kind"] == "sale":
            of_sale(tables, currency, sale, found)
    for click in tables["link_clicks"]:
        fields = {name: click[name] for name in ("campaign_id", "link_id")}
        found["customer_link_click"] += pieces(
            tables, click["customer_id"], [row(None, click["occurred_at"], **fields)]
        )
    referrals(tables, found)
    opt_outs(tables, found)
    return found


def of_sale(tables, currency, sale, found):
    customer, at = sale["sent_customer_id"] or sale["customer_id"], sale["occurred_at"]
    returns = [r for r in tables["customer_orders"] if r["kind"] == "return" and r["sale_id"] == sale["order_id"]]
    until, units = INF, 0
    for back in sorted(returns, key=lambda r: (r["occurred_at"], r["order_id"])):
        units -= back["units"]
        if units >= sale["units"]:
            until = min(until, max(back["occurred_at"], at))
    fields = {name: sale[name] for name in ("order_id", "side", "channel", "outlet_id", "discounted", "net_minor")}
    fields["group_id"] = groups_at(tables, sale["outlet_id"], at)
    found["customer_order"] += pieces(tables, customer, [row(None, at, until=until, **fields)])
    for campaign in campaigns_of(tables, json.loads(sale["product_ids"] or "[]")):
        each = row(None, at, until=until, order_id=sale["order_id"], campaign_id=campaign)
        found["customer_campaign_order"] += pieces(tables, customer, [each])
    if sale["currency"] == currency:
        money = [row(None, at, net_minor=sale["net_minor"])]
        found["customer_sold"] += pieces(tables, customer, money)
        found["customer_spend"] += pieces(tables, customer, money)
    for back in returns:
        if back["currency"] == currency:
            since = max(at, back["occurred_at"])
            found["customer_spend"] += pieces(tables, customer, [row(None, at, since, net_minor=back["net_minor"])])
            found["customer_returned"] += pieces(tables, customer, [row(None, at, since, net_minor=-back["net_minor"])])


def campaigns_of(tables, products):
    return [
        c["external_id"]
        for c in tables["campaigns"]
        if any(p["product_id"] in products and p["role"] != "excluded" for p in json.loads(c["products"] or "[]"))
    ]


def held(versions, at):
    """The version of each id at an instant; the first holds from the beginning."""
    found = {}
    for version in sorted(versions, key=lambda v: v["effective_from"]):
        if version["external_id"] not in found or version["effective_from"] <= at:
            found[version["external_id"]] = version
    return [v for v in found.values() if not v["is_deleted"]]


def groups_at(tables, outlet, at):
    groups = [
        g
        for g in held(tables["groups_history"], at)
        if (g["valid_from"] is None or g["valid_from"] <= at) and (g["valid_to"] is None or at < g["valid_to"])
    ]
    found = {g["external_id"] for g in groups if outlet in json.loads(g["outlet_ids"] or "[]")}
    for place in held(tables["outlets_history"], at):
        if place["external_id"] == outlet:
            found |= set(json.loads(place["group_ids"] or "[]"))
    parents = {g["external_id"]: g["parent_id"] for g in groups if g["parent_id"] is not None}
    waiting = list(found)
    while waiting:
        parent = parents.get(waiting.pop())
        if parent is not None and parent not in found:
            found.add(parent)
            waiting.append(parent)
    return sorted(found)


def referrals(tables, found):
    def named(*names):
        return [e for e in tables["referral_events"] if e["name"] in names]

    for event in named("referral.accepted"):
        each = row(None, event["occurred_at"], campaign_id=event["campaign_id"])
        found["customer_referral_accepted"] += pieces(tables, event["referrer_id"], [each])
    for event in named("referral.flagged"):
        closed = [
            e["occurred_at"]
            for e in named("referral.accepted", "referral.rejected")
            if e["entity_id"] == event["entity_id"] and e["occurred_at"] >= event["occurred_at"]
        ]
        each = row(None, event["occurred_at"], until=min(closed, default=INF), campaign_id=event["campaign_id"])
        found["customer_referral_flagged"] += pieces(tables, event["referrer_id"], [each])


def opt_outs(tables, found):
    said = [o for o in tables["opt_outs"] if o["scope"] != "campaign" and o["customer_id"] is not None]
    said.sort(key=lambda o: (o["occurred_at"], o["external_id"]))
    for place, word in enumerate(said):
        if word["action"] == "opt_out":
            key = (word["customer_id"], word["channel"])
            later = [o["occurred_at"] for o in said[place + 1 :] if (o["customer_id"], o["channel"]) == key]
            until = later[0] if later else INF
            each = row(None, word["occurred_at"], until=until, channel=word["channel"], reason=word["reason"])
            found["customer_opt_out"] += pieces(tables, word["customer_id"], [each])


def categories(tables, currency, start):
    """The category that each customer spent most on before ``start``."""
    spent = {}
    sales = {s["order_id"]: s for s in tables["customer_orders"] if s["kind"] == "sale"}
    for line in tables["order_lines"]:
        sale = sales.get(line["sale_id"])
        if sale is None or line["category"] is None or line["currency"] != currency:
            continue
        customer = sale["sent_customer_id"] or sale["customer_id"]
        if customer is not None and line["occurred_at"] < start:
            own = spent.setdefault(holder(tables, customer, start - 1), {})
            own[line["category"]] = own.get(line["category"], 0) + line["net_minor"]
    return [
        row(who, start, category=sorted(own.items(), key=lambda each: (-each[1], each[0]))[0][0])
        for who, own in spent.items()
    ]
