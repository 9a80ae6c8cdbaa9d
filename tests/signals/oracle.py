"""Every product signal again, one product and one instant after another, in plain Python from the catalogue's words."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from pipelines.calendar import day_of
from tests.signals.oracle_stock import DAY, HOUR, LEVELS, Event, Machine, PriceOracle, StockOracle

WINDOWS = {"15m": HOUR / 4, "1h": HOUR, "6h": 6 * HOUR, "24h": DAY, "3d": 3 * DAY, "7d": 7 * DAY, "28d": 28 * DAY}


class Oracle(StockOracle, PriceOracle):
    """``snapshots``: (date, signal, product, place) -> (value, state); ``crossings``: a list of rows."""

    def __init__(self, shop, days, params):
        self.shop, self.p = shop, params
        self.days = [day_of(day, shop.zone) for day in days]
        self.counts = defaultdict(list)
        for act, product, at, _ in shop.acts:
            self.counts[act, product].append(at)
        for line in shop.lines:
            if line["kind"] == "sale":
                self.counts["purchases", line["product_id"]].append(line["occurred_at"])
        for moments in self.counts.values():
            moments.sort()
        self.visits = defaultdict(list)
        for act, product, at, visitor in shop.acts:
            self.visits[act, product].append((at, visitor))
        for visitor, _, product, at in shop.bought:
            self.visits["purchases", product].append((at, visitor))
        self.known = self.first_days()
        self.data_since = min(moments[0] for moments in self.counts.values())
        self.snapshots, self.crossings = {}, []
        self.machines, self.events = {}, {}
        self.pressure, self.ranks = Counter(), defaultdict(dict)
        self.cooling, self.slots, self.rates = {}, {}, {}
        self.prices = {}

    def first_days(self):
        found = {}
        told = [(p, ms[0]) for (_, p), ms in self.counts.items()]
        told += [(m["product_id"], m["measured_at"]) for m in self.shop.stock]
        told += [(s["product_id"], s["occurred_at"]) for s in self.shop.steps if s["product_id"]]
        for product, at in told:
            start = day_of(self.shop.day(at), self.shop.zone).start
            found[product] = min(found.get(product, start), start)
        return found

    # --- counts -------------------------------------------------------------------------------------------------
    def count(self, act, product, begin, end):
        moments = self.counts[act, product]
        return bisect.bisect_left(moments, end) - bisect.bisect_left(moments, begin)

    def first_seen(self, product, at):
        told = [ms[0] for (_, p), ms in self.counts.items() if p == product and ms[0] < at]
        published = self.shop.published.get(product)
        if published is not None and self.known[product] < at and published < at:
            told.append(published)
        return min(told, default=None)

    def age(self, product, at):
        """Since the hour of the first event or the instant of publication; it is not told beyond 29 days."""
        acts = min((ms[0] for (_, p), ms in self.counts.items() if p == product and ms[0] < at), default=at)
        first = acts.replace(minute=0, second=0, microsecond=0)
        return min(at - min(first, self.first_seen(product, at)), 29 * DAY)

    def machine(self, signal, subject, normal):
        return self.machines.setdefault((signal, subject), Machine(normal, self.p[signal].get("cooldown", 0 * HOUR)))

    def event(self, signal, subject):
        return self.events.setdefault((signal, subject), Event(self.p[signal].get("cooldown", 0 * HOUR)))

    def cross(self, signal, product, place, move, at, value=None):
        if move is not None:
            self.crossings.append((signal, product, place, *move, at, None if value is None else float(value)))

    # --- the run ------------------------------------------------------------------------------------------------
    def run(self):
        for day in self.days:
            self.day = day
            self.prices_of_day(day)
            changes = self.stock_of_day(day)
            grid = day.start.astimezone(UTC).replace(minute=0) + HOUR
            while grid <= day.end:
                self.grid(grid, changes)
                last, grid = grid, grid + HOUR
            self.snapshot(day, last)
        return self

    def products(self, at):
        return sorted(p for p, since in self.known.items() if since < at)

    def grid(self, at, changes):
        products = self.products(at)
        pressure = self.cart_pressure(at)
        self.supply = self.supply_at(at, changes)
        self.momenta = {p: self.momentum(p, at) for p in products}
        for p in products:
            self.spike(p, at)
            self.surge(p, at, pressure)
        self.pressure = pressure
        for signal, act in (("category_rank", "purchases"), ("category_rank_views", "views")):
            self.rank(signal, act, at, products)
        for p in products:
            self.risk(p, at)
            self.lifecycle(p, at)
            self.composite(p, at)

    # --- momentum -----------------------------------------------------------------------------------------------
    def baseline(self, p, at):
        seen = self.first_seen(p, at)
        if seen is None:
            return None
        since = max(seen, self.data_since).replace(minute=0, second=0, microsecond=0)
        days = min((at - DAY - since) // DAY, 28)
        return days if days >= self.p["momentum"]["history"] and days > 0 else None

    def momentum_value(self, p, at):
        days = self.baseline(p, at)
        if days is None:
            return None, 0, 0
        x = self.count("views", p, at - DAY, at)
        mean = Fraction(self.count("views", p, at - 29 * DAY, at - DAY), days)
        return (x + 1) / (mean + 1), x, mean

    def momentum(self, p, at):
        value, x, mean = self.momentum_value(p, at)
        machine = self.machine("momentum", p, "steady")
        if value is None:
            return machine.now
        heat = {"cooling": -1, "steady": 0, "rising": 1, "surging": 2, "breakout": 3}
        now = heat[machine.now]
        target = "steady"
        if value < Fraction("0.8") or (now < 0 and value < Fraction("0.9")):
            target = "cooling"
        if value >= Fraction("1.2") or (now >= 1 and value >= Fraction("1.1")):
            target = "rising"
        if (value >= 2 or (now >= 2 and value >= Fraction("1.6"))) and x >= self.p["momentum"]["surging_count"]:
            target = "surging"
        z_is_3 = x >= mean and (x - mean) ** 2 >= 9 * (mean + 1)
        if (value >= 4 or (now >= 3 and value >= 3)) and x >= self.p["momentum"]["breakout_count"] and z_is_3:
            target = "breakout"
        self.cross("momentum", p, None, machine.want(target, at), at, value)
        return machine.now

    # --- spikes -------------------------------------------------------------------------------------------------
    def spike(self, p, at):
        for act in ("views", "purchases"):
            x = self.count(act, p, at - HOUR, at)
            if x == 0:
                continue
            seen = self.first_seen(p, at)
            since = max(seen, self.data_since).replace(minute=0, second=0, microsecond=0)
            past = [
                self.count(act, p, at - HOUR - w * 7 * DAY, at - w * 7 * DAY)
                for w in range(1, 5)
                if at - HOUR - w * 7 * DAY >= since
            ]
            if len(past) < 1:
                continue
            median = sorted(past)[-(-len(past) // 2) - 1]
            if x >= 3 * median and x >= median and (x - median) ** 2 >= 9 * (median + 1):
                cause = self.event("demand_spike", p).fire(at)
                self.cross("demand_spike", p, None, (None, act, cause), at, x)
                return

    # --- carts --------------------------------------------------------------------------------------------------
    def cart_pressure(self, at):
        """Fold every cart from the beginning; slow and plain."""
        carts = {}
        happened = [(s["occurred_at"], 0, s["event_id"], s) for s in self.shop.steps if s["occurred_at"] < at]
        happened += [(when, 1, order, visitor) for visitor, order, when in self.shop.orders if when < at]
        for when, kind, _, what in sorted(
            happened, key=lambda row: (row[0], row[1] or (row[3]["step"] == "order"), row[2])
        ):
            if kind == 1:
                for key in [key for key in carts if key[0] == what]:
                    del carts[key]
                continue
            self.cart_step(carts, when, what)
        having = defaultdict(set)
        for (visitor, _), (last, items) in carts.items():
            if at - last <= DAY:
                for product, quantity in items.items():
                    if quantity > 0:
                        having[product].add(visitor)
        return Counter({product: len(visitors) for product, visitors in having.items()})

    def cart_step(self, carts, when, what):
        key = what["flockr_vid"], what["cart_key"]
        if what["step"] == "order":
            carts.pop(key, None)
            return
        last, items = carts.get(key, (when, Counter()))
        if when - last >= 7 * DAY:
            items = Counter()
        carts[key] = (when, items)
        if what["step"] == "add":
            items[what["product_id"]] += what["quantity"]
        elif what["step"] == "remove":
            items[what["product_id"]] = max(0, items[what["product_id"]] - what["quantity"])

    def surge(self, p, at, pressure):
        now, before = pressure[p], self.pressure[p]
        if now >= 5 and now >= 2 * before:
            cause = self.event("cart_surge", p).fire(at)
            self.cross("cart_surge", p, None, (None, "surged", cause), at, now)

    # --- ranks --------------------------------------------------------------------------------------------------
    def category(self, p, at):
        own = sorted((v for v in self.shop.versions if v["product_id"] == p), key=lambda v: v["at"])
        held = [v for place, v in enumerate(own) if place == 0 or v["at"] < at]
        return held[-1]["category"] if held else None

    def rank(self, signal, act, at, products):
        counts = {p: self.count(act, p, at - 7 * DAY, at) for p in products}
        found = {}
        for category in {self.category(p, at) for p in products} - {None}:
            own = {p: n for p, n in counts.items() if n > 0 and self.category(p, at) == category}
            if len(own) >= self.p[signal]["fewest"]:
                order = sorted(set(own.values()), reverse=True)
                found |= {p: order.index(n) + 1 for p, n in own.items()}
        change = {"category_rank": "rank_change", "category_rank_views": "rank_change_views"}[signal]
        top, places = self.p[change]["top"], self.p[change]["places"]
        for p in products:
            now, was = found.get(p), self.ranks[signal].get(p)
            inside, before = now is not None and now <= top, was is not None and was <= top
            told = None
            if inside and not before:
                told = "entered_top"
            elif before and not inside:
                told = "left_top"
            elif now and was and was - now >= places:
                told = "moved_up"
            elif now and was and now - was >= places:
                told = "moved_down"
            if told:
                cause = self.event(change, p).fire(at)
                self.cross(change, p, None, (None, told, cause), at, now)
        self.ranks[signal] = found

    # --- life cycle and demand ----------------------------------------------------------------------------------
    def lifecycle(self, p, at):
        cooling = self.machine("momentum", p, "steady").now == "cooling"
        self.cooling[p] = (self.cooling.get(p) or at) if cooling else None
        seen = self.first_seen(p, at)
        if seen is None:
            return
        rule, age = self.p["lifecycle_state"], at - seen
        machine = self.machine("lifecycle_state", p, "just_launched")
        now, target = machine.now, machine.now
        active = {self.shop.day(m) for (_, name), ms in self.counts.items() if name == p for m in ms}
        active = sum(day_of(each, self.shop.zone).end <= at for each in active)
        trending = self.momenta[p] in ("rising", "surging", "breakout")
        begin = datetime(2000, 1, 1, tzinfo=UTC)
        if now == "just_launched" and age > rule["launch"]:
            if self.count("views", p, begin, at) >= rule["views"] and self.count("add_to_bags", p, begin, at) >= 1:
                target = "discovering"
        elif (
            now == "discovering"
            and age <= rule["newness"]
            and trending
            and self.count("purchases", p, at - 7 * DAY, at) >= 3
        ):
            target = "trending_new"
        elif now == "trending_new" and self.cooling[p] and at - self.cooling[p] >= rule["decline"]:
            target = "declining_new"
        if now in ("discovering", "trending_new", "declining_new") and age > rule["newness"] and active >= rule["days"]:
            target = "established"
        self.cross("lifecycle_state", p, None, machine.want(target, at), at)

    def composite(self, p, at):
        if self.first_seen(p, at) is None:
            return
        quiet = self.count("views", p, at - 7 * DAY, at) == 0
        momentum = self.momenta[p]
        if self.machine("scarcity_risk", p, "none").now == "at_risk":
            target = "constrained"
        elif momentum in ("surging", "breakout") or self.ranks["category_rank"].get(p, 99) <= 3:
            target = "hot"
        elif momentum == "rising":
            target = "heating"
        elif quiet:
            target = "dormant"
        else:
            target = momentum
        machine = self.machine("demand_state", p, "steady")
        self.cross("demand_state", p, None, machine.want(target, at), at)

    # --- snapshots ----------------------------------------------------------------------------------------------
    def put(self, signal, p, value, state=None, place=None):
        self.snapshots[self.day.date, signal, p, place] = (None if value is None else float(value), state)

    def snapshot(self, day, at):
        for p in self.products(day.end):
            for act in ("views", "add_to_bags", "purchases"):
                for name, width in WINDOWS.items():
                    self.put_counts(act, p, name, width, at)
            value, x, mean = self.momentum_value(p, at)
            state = self.machine("momentum", p, "steady").now
            if value is not None and not (x == 0 and mean == 0 and state == "steady"):
                self.put("momentum", p, value, state)
            if self.pressure[p]:
                self.put("cart_pressure", p, self.pressure[p])
            for signal in ("category_rank", "category_rank_views"):
                if p in self.ranks[signal]:
                    self.put(signal, p, self.ranks[signal][p])
            self.put_states(p, at)
        self.put_stock(day)

    def put_counts(self, act, p, name, width, at):
        n = self.count(act, p, at - width, at)
        if n:
            self.put(f"{act}_{name}", p, n)
            self.put(f"velocity_{act}_{name}", p, n / Fraction(width / HOUR))
        who = {visitor for when, visitor in self.visits[act, p] if at - width <= when < at}
        if who:
            self.put(f"{act}_visitors_{name}", p, len(who))

    def put_states(self, p, at):
        if p in self.supply and self.machine("scarcity_risk", p, "none").now == "at_risk":
            self.put("scarcity_risk", p, 1, "at_risk")
            self.put("risk_score", p, self.score(p, at))
        if self.machine("lifecycle_state", p, "just_launched").state is not None:
            self.put("lifecycle_state", p, self.age(p, at) / DAY, self.machines["lifecycle_state", p].now)
        if self.machine("demand_state", p, "steady").state is not None:
            self.put("demand_state", p, None, self.machines["demand_state", p].now)
        if p in self.prices and self.prices[p]["shown"]:
            self.put("price_change", p, *self.prices[p]["shown"])

    def put_stock(self, day):
        for (product, place), level in self.levels.items():
            now = self.available(product, place, day.end - timedelta(microseconds=1))
            units, days, _ = self.sales(product, place, day.date)
            self.put("scarcity_state", product, Fraction(now, 1000), LEVELS[level], place)
            self.put("stock_runway_days", product, Fraction(now * days, units) if units > 0 else None, None, place)
