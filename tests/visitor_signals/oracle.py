"""Visitors' signals in plain Python, one subject and one day at a time, from the rows of the shop."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import cache
from itertools import pairwise

from pipelines.signals.units import DAY, HOUR, MINUTE
from tests.visitor_signals.shopfront import BOUNDS, DAYS, day_at, state_at

SHARE = ("scarcity_lift", "discount_share", "return_rate")
BANDS = (("ready", 15, 12), ("hot", 10, 8), ("warm", 5, 3))
HALF_LIFE, CAP, SURGE, FORGET = 120, 30, 6 * HOUR, 2 * DAY


@cache
def decayed(minutes):
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(1_000_000) * Decimal(2) ** (Decimal(-minutes) / Decimal(HALF_LIFE))
        return int(exact.to_integral_value(ROUND_HALF_EVEN))


def within(at, day, days):
    """Whether an instant lies on one of so many tenant days that end with a day."""
    return 0 <= (day - day_at(at)).days < days


def of(rows, who, key="flockr_vid"):
    return [row for row in rows if row[key] == who]


def score(tables, who, instant):
    worth = {"view": 1, "add": 5}
    acts = [(row["occurred_at"], worth[row["act"]] * row["count"]) for row in of(tables["visitor_acts"], who)
            if row["act"] in worth]  # fmt: skip
    acts += [(row["occurred_at"], 10) for row in of(tables["visitor_checkouts"], who) if row["kind"] == "started"]
    total = sum(weight * decayed((instant - at) // MINUTE) for at, weight in acts if at < instant)
    return min(total, CAP * 1_000_000)


def intent(tables, who, day, states):
    """Value at the end of the day, the state, and the moves on the way."""
    start, end = BOUNDS[day]
    moves, state, value = [], states.get(who, "cold"), 0
    for hour in range(start // HOUR + 1, end // HOUR + 1):
        value = score(tables, who, hour * HOUR)
        names = ["cold", "warm", "hot", "ready"]
        found = "cold"
        for name, enter, leave in BANDS:
            kept = names.index(state) >= names.index(name) and value >= leave * 1_000_000
            if value >= enter * 1_000_000 or kept:
                found = name
                break
        if found != state:
            moves.append((hour * HOUR, state, found))
        state = found
    states[who] = state
    return (Fraction(value, 1_000_000), state) if value or state != "cold" else None, moves


def cart(tables, who, end):
    """Products in the visitor's open carts at an instant."""
    held = set()
    orders = [row["ordered_at"] for row in of(tables["visitor_orders"], who) if row["ordered_at"] < end]
    rows = [row for row in of(tables["cart_activity"], who) if row["occurred_at"] < end]
    for key in {row["cart_key"] for row in rows}:
        own = [row for row in rows if row["cart_key"] == key]
        closes = orders + [row["occurred_at"] for row in own if row["step"] == "order"]
        steps = [(row["occurred_at"], 0, row["event_id"], row) for row in own if row["step"] != "order"]
        path = sorted([*steps, *((at, 1, "", None) for at in closes)], key=lambda each: each[:3])
        last, quantities = None, {}
        for at, closing, _, row in path:
            if closing:
                last, quantities = None, {}
                continue
            if last is not None and at - last >= FORGET:
                quantities = {}
            last = at
            change = {"add": 1, "remove": -1}.get(row["step"], 0) * row["quantity"]
            if row["product_id"] and change:
                quantities[row["product_id"]] = max(0, quantities.get(row["product_id"], 0) + change)
        if last is not None and last + FORGET > end:
            held |= {product for product, quantity in quantities.items() if quantity > 0}
    return held


def stage(tables, who, day):
    end = BOUNDS[day][1]
    order = max([row["ordered_at"] for row in of(tables["visitor_orders"], who) if row["ordered_at"] < end], default=-1)
    fresh = [row for row in of(tables["visitor_acts"], who)
             if order < row["occurred_at"] < end and within(row["occurred_at"], day, 3)]  # fmt: skip
    started = [row for row in of(tables["visitor_checkouts"], who) if row["kind"] == "started"
               and order < row["occurred_at"] < end and within(row["occurred_at"], day, 3)]  # fmt: skip
    if cart(tables, who, end) or started:
        return "deciding"
    views = [row for row in fresh if row["act"] == "view"]
    for category in {row["category"] for row in views if row["category"]}:
        if len({row["product_id"] for row in views if row["category"] == category}) >= 2:
            return "comparing"
    return "browsing" if [row for row in fresh if row["act"] in ("view", "add")] else None


def engagement(tables, who, day):
    daily = {day_at(row["last_at"]): row["events"] for row in of(tables["visitor_daily"], who)}
    known = (day - min(day_at(row["last_at"]) for row in tables["visitor_daily"])).days
    days = min(4, known)
    if days < 3:
        return None
    before = sum(count for each, count in daily.items() if 1 <= (day - each).days <= 4)
    today = daily.get(day, 0)
    return Fraction(days * (today + 1), before + days) if today + before else None


def lift(tables, who, day):
    end = BOUNDS[day][1]
    counts = {True: [0, 0], False: [0, 0]}
    views = [row for row in of(tables["visitor_acts"], who) if row["act"] == "view" and row["product_id"]
             and row["occurred_at"] < end and within(row["occurred_at"], day, 4)]  # fmt: skip
    done = [(row["product_id"], row["occurred_at"]) for row in of(tables["visitor_acts"], who) if row["act"] == "add"]
    done += [(row["product_id"], row["ordered_at"]) for row in of(tables["visitor_purchases"], who)]
    for product, on in {(row["product_id"], day_at(row["occurred_at"])) for row in views}:
        seen = [row["occurred_at"] for row in views if (row["product_id"], day_at(row["occurred_at"])) == (product, on)]
        scarce = any(state_at(tables, "scarcity_state", product, at) in ("low", "critical") for at in seen)
        timely = [at for name, at in done if name == product and at < end and 0 <= (day_at(at) - on).days <= 1
                  and min([at - view for view in seen if view <= at], default=2 * DAY) <= DAY]  # fmt: skip
        counts[scarce][0] += 1
        counts[scarce][1] += bool(timely)
    (n_s, k_s), (n_n, k_n) = counts[True], counts[False]
    return Fraction(k_s + 1, n_s + 10) / Fraction(k_n + 1, n_n + 10) if n_s + n_n else None


def affinity(tables, who, day):
    weights = {}
    for row in of(tables["visitor_acts"], who):
        if row["act"] in ("view", "add") and within(row["occurred_at"], day, 3):
            key = row["category"]
            weights[key] = weights.get(key, 0) + row["count"] * (1 if row["act"] == "view" else 3)
    for row in of(tables["visitor_purchases"], who):
        if within(row["ordered_at"], day, 3):
            weights[row["category"]] = weights.get(row["category"], 0) + 5
    total = sum(weights.values())
    listed = sorted((-weight, key) for key, weight in weights.items() if key and weight)
    return {key: Fraction(-100 * weight, total) for weight, key in listed[:2]}


def counting(tables, who, day):
    """Sales of a customer that count at the end of a day."""
    end, found = BOUNDS[day][1], []
    for sale in of(tables["customer_orders"], who, "customer_id"):
        if sale["kind"] == "sale" and sale["occurred_at"] < end:
            back = sum(-row["units"] for row in of(tables["customer_orders"], sale["order_id"], "sale_id")
                       if row["kind"] == "return" and max(row["occurred_at"], sale["occurred_at"]) < end)  # fmt: skip
            if back < sale["units"]:
                found.append(sale)
    return found


def discount(tables, who, day):
    some = [sale for sale in counting(tables, who, day) if within(sale["occurred_at"], day, 5)]
    return Fraction(100 * sum(sale["discounted"] for sale in some), len(some)) if some else None


def money(tables, who, day, days, kind=("sale", "return")):
    """Net of the customer's sales of some days and of what was sent back of them."""
    sales = [row for row in of(tables["customer_orders"], who, "customer_id") if row["kind"] == "sale"]
    near = [row["order_id"] for row in sales if within(row["occurred_at"], day, days)]
    rows = [row for row in tables["customer_orders"] if row["sale_id"] in near and row["kind"] in kind]
    return sum(row["net_minor"] for row in rows if row["occurred_at"] < BOUNDS[day][1] and row["currency"] == "GBP")


def returned(tables, who, day):
    sold = money(tables, who, day, 4, ("sale",))
    return Fraction(-100 * money(tables, who, day, 4, ("return",)), sold) if sold else None


def due(tables, who, day):
    """Instant at which the next order is due, and the newest order."""
    instants = sorted(sale["occurred_at"] for sale in counting(tables, who, day))
    gaps = sorted(after - before for before, after in pairwise(instants))
    if not gaps:
        return None
    return instants[-1] + (gaps[(len(gaps) - 1) // 2] + gaps[len(gaps) // 2]) // 2, instants[-1]


def rfm_numbers(tables, who, day):
    some = [sale for sale in counting(tables, who, day) if within(sale["occurred_at"], day, 6)]
    last = max((sale["occurred_at"] for sale in some), default=0)
    return last, len(some), money(tables, who, day, 6)


def cells(tables, customers, day):
    """Cells by customer; percentiles are of the day before."""
    before = DAYS[DAYS.index(day) - 1] if day != DAYS[0] else None
    sold = [row for row in tables["customer_orders"] if row["customer_id"] and row["kind"] == "sale"]
    first = min(day_at(row["occurred_at"]) for row in sold)
    if before is None or (before - first).days < 2:
        return {}
    population = [rfm_numbers(tables, who, before) for who in customers]
    bounds = []
    for place in range(3):
        present = sorted(each[place] for each in population if each[place])
        if len(present) < 2:
            return {}
        bounds.append([present[max(1, -(-share * len(present) // 100)) - 1] for share in (20, 40, 60, 80)])
    found = {}
    for who in customers:
        numbers = rfm_numbers(tables, who, day)
        if numbers[1]:
            found[who] = "".join(str(1 + sum(number > limit for limit in limits))
                                 for number, limits in zip(numbers, bounds, strict=True))  # fmt: skip
    return found


def top(tables, who, day):
    end, found = BOUNDS[day][1], []
    snapshot = {(row["signal_id"], row["subject"]): row for row in tables["signal_snapshots"] if row["date"] == day}

    def known(signal, product, column):
        return snapshot.get((signal, product), {}).get(column)

    for product in cart(tables, who, end):
        surged = [row for row in of(tables["signal_crossings"], product, "subject") if row["signal_id"] == "cart_surge"
                  and row["suppressed_by"] is None and end - SURGE < row["effective_at"] <= end]  # fmt: skip
        holds = {
            "critical": known("scarcity_state", product, "state") == "critical",
            "breakout": known("momentum", product, "state") == "breakout",
            "cart_surge": bool(surged),
            "low": known("scarcity_state", product, "state") == "low",
            "rank": (known("category_rank", product, "value") or 99) <= 2,
            "rising": known("momentum", product, "state") == "rising",
        }
        names = [name for name, flag in holds.items() if flag]
        if names:
            risk = known("risk_score", product, "value")
            found.append((list(holds).index(names[0]), -(-1 if risk is None else risk), product, names[0]))
    return min(found)[2:] if found else None
