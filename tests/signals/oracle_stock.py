"""The stock and the prices of the plain simulation, and the states and events that all of it uses."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, timedelta
from fractions import Fraction
from itertools import pairwise

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEVELS = ["out", "critical", "low", "limited", "healthy"]


class Machine:
    """One state of one subject: cooldown, and the crossings, suppressed ones once per wish."""

    def __init__(self, normal, cooldown):
        self.normal, self.cooldown = normal, cooldown
        self.state = self.changed = self.held = None

    @property
    def now(self):
        return self.state or self.normal

    def want(self, target, at):
        """None, or (from, to, suppressed)."""
        found = None
        if target == self.now:
            self.held = None
            self.state = self.now
            return None
        if self.changed is not None and at - self.changed < self.cooldown:
            if self.held != target:
                found = (self.state, target, "cooldown")
            self.held = target
            self.state = self.now
            return found
        found = (self.state, target, None)
        self.state, self.changed, self.held = target, at, None
        return found


class Event:
    def __init__(self, cooldown):
        self.cooldown, self.last = cooldown, None

    def fire(self, at):
        if self.last is not None and at - self.last < self.cooldown:
            return "cooldown"
        self.last = at
        return None


class StockOracle:
    # --- stock --------------------------------------------------------------------------------------------------
    def places(self, product):
        """Measured places with their measurements in order; a group holds its outlets, nothing named holds all."""
        found = defaultdict(list)
        for m in sorted(self.shop.stock, key=lambda m: (m["measured_at"], m["external_id"])):
            if m["product_id"] == product:
                place = f"o:{m['outlet_id']}" if m["outlet_id"] else f"g:{m['group_id']}" if m["group_id"] else ""
                found[place].append(m)
        return found

    def available(self, product, place, at):
        """After everything at or before the instant; None before any measurement."""
        places = self.places(product)
        if place is not None:
            told = [m for m in places.get(place, ()) if m["measured_at"] <= at]
            return told[-1]["available"] if told else None
        total, any_told = 0, False
        begun = {name for name, ms in places.items() if ms[0]["measured_at"] <= at}
        for name in begun:
            around = {""} - {name} | ({"g:g1"} if name == "o:o2" else set())
            any_told = True
            if not around & begun:
                total += self.available(product, name, at)
        return total if any_told else None

    def sales(self, product, place, last):
        """(net units on in-stock days, in-stock days, sale lines of the last 7 days) of the 14 days up to ``last``."""
        units = days = sold = 0
        for age in range(14):
            date = last - timedelta(days=age)
            lines = [
                line
                for line in self.shop.lines
                if line["product_id"] == product
                and self.shop.day(line["occurred_at"]) == date
                and self.sold_at(line, place)
            ]
            if age < 7:
                sold += sum(line["kind"] == "sale" for line in lines)
            if self.slots.get((product, place, date)):
                days += 1
                units += sum(line["quantity"] for line in lines)
        return units, days, sold

    def sold_at(self, line, place):
        outlet = line["outlet_id"] or "web"
        return place is None or place == f"o:{outlet}" or (place == "g:g1" and outlet == "o2")

    def level(self, available, rate, factor=Fraction(1)):
        units, days, sold = rate
        runway = Fraction(available * days, units) if units > 0 else None
        if available <= 0:
            return 0
        if available <= 3000 * factor or (runway is not None and runway <= 3 * factor and sold > 0):
            return 1
        if available <= 10_000 * factor or (runway is not None and runway <= 7 * factor):
            return 2
        if runway is not None and runway <= 14 * factor:
            return 3
        return 4

    def move_level(self, product, place, at, before, rate):
        now = self.available(product, place, at)
        known = self.levels.get((product, place))
        plain = self.level(now, rate)
        restocked = before is not None and before <= 0 < now
        if known is None or plain <= known or (before is not None and restocked):
            target = plain
        else:
            target = max(min(self.level(now, rate, Fraction("1.25")), plain), known)
        self.levels[product, place] = target
        if restocked:
            self.cross("restock_detected", product, place, (None, "restocked", None), at, Fraction(now, 1000))
        if target != (4 if known is None else known):
            move = (None if known is None else LEVELS[known], LEVELS[target], None)
            self.cross("scarcity_state", product, place, move, at, Fraction(now, 1000))
            if known in (3, 4) and target in (1, 2):
                self.cross("low_stock_alert", product, place, (None, "alerted", None), at, Fraction(now, 1000))

    def stock_of_day(self, day):
        """Move levels through the day; (product, at) -> level of totals after it."""
        if not hasattr(self, "levels"):
            self.levels = {}
        changes = defaultdict(list)
        yesterday = day.date - timedelta(days=1)
        slots = [
            (p, place)
            for p in sorted({m["product_id"] for m in self.shop.stock})
            for place in [None, *sorted(set(self.places(p)) - {""})]
        ]
        for product, place in slots:
            rate = self.sales(product, place, yesterday)
            told = [m["measured_at"] for name, ms in self.places(product).items() for m in ms if place in (None, name)]
            times = sorted({at for at in told if day.start <= at < day.end})
            if place is None:
                times = [at for at in times if self.counts_then(product, at)]
            just_before = self.available(product, place, day.start - timedelta(microseconds=1))
            some = just_before is not None and just_before > 0
            changes[product, place].append((day.start - timedelta(microseconds=1), self.levels.get((product, place))))
            for at in times:
                before = self.available(product, place, at - timedelta(microseconds=1))
                self.move_level(product, place, at, before, rate)
                some |= self.available(product, place, at) > 0
                changes[product, place].append((at, self.levels[product, place]))
            self.slots[product, place, day.date] = some
            self.rates[product, place] = rate
        for product, place in slots:
            if (product, place) in self.levels:
                rate = self.sales(product, place, day.date)
                now = self.available(product, place, day.end - timedelta(microseconds=1))
                self.move_at_end(product, place, day.end, now, rate)
        return changes

    def counts_then(self, product, at):
        """Whether a place that counts was measured, or one around it began."""
        places = self.places(product)
        begun = {name: ms[0]["measured_at"] for name, ms in places.items()}
        for name, ms in places.items():
            around = {""} - {name} | ({"g:g1"} if name == "o:o2" else set())
            covered = [begun[other] for other in around if other in begun]
            if any(m["measured_at"] == at for m in ms) and not any(since < at for since in covered):
                return True
        return False

    def move_at_end(self, product, place, at, now, rate):
        known = self.levels[product, place]
        plain = self.level(now, rate)
        target = plain if plain <= known else max(min(self.level(now, rate, Fraction("1.25")), plain), known)
        self.levels[product, place] = target
        if target != known:
            self.cross("scarcity_state", product, place, (LEVELS[known], LEVELS[target], None), at, Fraction(now, 1000))
            if known in (3, 4) and target in (1, 2):
                self.cross("low_stock_alert", product, place, (None, "alerted", None), at, Fraction(now, 1000))

    def supply_at(self, at, changes):
        found = {}
        for (product, place), steps in changes.items():
            if place is not None:
                continue
            seen = [level for when, level in steps if when < at]
            level, rate = seen[-1], self.rates[product, None]
            if at >= self.day.end:
                level, rate = self.levels.get((product, None)), self.sales(product, None, self.day.date)
            available = self.available(product, None, at - timedelta(microseconds=1))
            if level is not None and available is not None:
                found[product] = (available, level, *rate[:2])
        return found

    # --- risk ---------------------------------------------------------------------------------------------------
    def risk(self, p, at):
        if p not in self.supply:
            return
        available, level, units, days = self.supply[p]
        wanted = (
            self.count("purchases", p, at - DAY, at) >= 1
            or self.count("add_to_bags", p, at - DAY, at) >= 3
            or self.pressure[p] >= 2
        )
        wait = 7 * DAY
        inbound = []
        for ms in self.places(p).values():
            told = [m for m in ms if m["measured_at"] < at]
            if told and told[-1]["inbound_at"] is not None and told[-1]["inbound_at"] > at:
                inbound.append(told[-1]["inbound_at"])
        if inbound:
            wait = min(inbound) - at
        flag = False
        if units > 0:
            runway = Fraction(max(available, 0) * days, units)
            flag = level in (1, 2) and wanted and runway < Fraction(wait // timedelta(seconds=1), 86_400)
        machine = self.machine("scarcity_risk", p, "none")
        self.cross(
            "scarcity_risk",
            p,
            None,
            machine.want("at_risk" if flag else "none", at),
            at,
            Fraction(available * days, units) if units > 0 else None,
        )

    def score(self, p, at):
        available, _, units, days = self.supply[p]
        value, _, _ = self.momentum_value(p, at)
        momentum = min(max(value if value is not None else Fraction(1), Fraction("0.5")), Fraction(2))
        return 100 * (1 - min(Fraction(max(available, 0) * days, units), 14) / 14) * momentum / 2


class PriceOracle:
    # --- prices -------------------------------------------------------------------------------------------------
    def prices_of_day(self, day):
        back, cooldown = self.p["price_change"]["lookback"], self.p["price_change"]["cooldown"]
        for p in sorted(p for p, since in self.known.items() if since <= day.start):
            path = [v for v in sorted((v for v in self.shop.versions if v["product_id"] == p), key=lambda v: v["at"])]
            steps = [v for place, v in enumerate(path) if place == 0 or v["price"] != path[place - 1]["price"]]
            row = self.prices.setdefault(p, {"machine": Machine("normal", cooldown), "reference": None, "due": []})
            machine = row["machine"]
            todo = sorted(
                {v["at"] for v in steps[1:] if day.start <= v["at"] < day.end}
                | {d for d in row["due"] if day.start <= d < day.end}
            )
            while todo:
                at = todo.pop(0)
                place = max(n for n, v in enumerate(steps) if n == 0 or v["at"] <= at)
                price, low = steps[place]["price"], self.lowest(steps, place, back)
                began = steps[place]["at"]
                if machine.now == "normal":
                    drop = low is not None and at - began < back and price * 100 <= low * 95
                    target, reference = ("dropped" if drop else "normal"), low
                else:
                    over = price * 100 > row["reference"] * 97 or at - machine.changed >= back
                    target, reference = ("normal" if over else "dropped"), row["reference"]
                was = machine.now
                move = machine.want(target, at)
                self.cross("price_change", p, None, move, at, Fraction(price, reference) if reference else None)
                if machine.now != was:
                    row["reference"] = low if machine.now == "dropped" else None
                due = [machine.changed + cooldown] if machine.held else []
                due += [machine.changed + back] if machine.now == "dropped" and machine.held != "normal" else []
                row["due"] = due
                todo = sorted(
                    {t for t in todo if any(v["at"] == t for v in steps)} | {d for d in due if at < d < day.end}
                )
            current = max((n for n, v in enumerate(steps) if n == 0 or v["at"] < day.end), default=None)
            row["shown"] = None
            if current is not None:
                low = self.lowest(steps, current, back)
                reference = row["reference"] if machine.now == "dropped" else low
                last = day.end.astimezone(UTC).replace(minute=0)
                if reference and (machine.now == "dropped" or last - steps[current]["at"] < back):
                    row["shown"] = (steps[current]["price"] / reference, machine.now)

    def lowest(self, steps, place, back):
        """The lowest price in effect in the lookback before a price began."""
        if place == 0:
            return None
        at = steps[place]["at"]
        held = [v["price"] for v, then in pairwise(steps) if v["at"] < at and then["at"] > at - back]
        return min(held, default=None)
