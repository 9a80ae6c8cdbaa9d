"""Random cohorts of the rule language over the streams of ``streams_cases``, also of forms that no shipped one has."""

from __future__ import annotations

import random

from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.vocabulary import PRODUCT, streams

_VALUES = {
    "side": ("online", "outlet"), "channel": ("email", "sms"), "group_id": ("north", "all"),
    "campaign_id": ("k1", "k2"), "category": ("a", "b", "b/c"), "product_id": ("p1", "p2", "p3"),
    "session_id": ("s1", "s2"),
}  # fmt: skip
_DAYS = ("1d", "2d", "7d", "14d", "30d", "60d", "90d", "365d")
_SPANS = ("30m", "60m", "24h", *_DAYS)
_NUMBERS = {"duration": _SPANS, "percent": (0, 10, 50, 100), "ratio": (0, 0.5, 1, 1.5), "minor": (0, 1, 100, 400)}
#: Streams whose rows come and go are asked for with everything; those of carts have rules of their own.
_LEFT_OUT = {"cart_activity"}


class Draft:
    """A cohort being made: its parameters get names as they are needed."""

    def __init__(self, rng, subject, evaluate, for_each):
        self.rng, self.subject, self.evaluate, self.for_each, self.params = rng, subject, evaluate, for_each, {}
        self.streams = {
            name: stream
            for name, stream in streams(subject).items()
            if name not in PRODUCT and name not in _LEFT_OUT and (for_each is None or for_each in stream.fields)
        }

    def param(self, value, unit):
        name = f"p{len(self.params)}"
        self.params[name] = {"value": value, "unit": unit}
        return f"${name}"

    def window(self):
        days = _DAYS if self.evaluate == "day" else _SPANS
        return self.param(self.rng.choice(days), "duration")

    def some_stream(self, *kinds):
        fits = [name for name, s in self.streams.items() if not kinds or any(k in kinds for k in s.fields.values())]
        return self.rng.choice(fits) if fits else None

    def field(self, stream, *kinds):
        return self.rng.choice([name for name, kind in self.streams[stream].fields.items() if kind in kinds])

    def where(self, stream):
        found = {}
        for name, kind in self.streams[stream].fields.items():
            if self.rng.random() < 0.25:
                if kind == "flag":
                    found[name] = self.rng.random() < 0.5
                elif kind == "number":
                    found[name] = {
                        self.rng.choice(("at_least", "at_most")): self.param(self.rng.randint(1, 3), "count")
                    }
                elif name in _VALUES and (self.subject, stream, name) != ("customer", "order", "campaign_id"):
                    chosen = self.rng.sample(_VALUES[name], self.rng.randint(1, 2))
                    found[name] = chosen[0] if len(chosen) == 1 else {"any_in": chosen}
        if "product_id" in self.streams[stream].fields and self.rng.random() < 0.2:
            found["signal.scarcity_state"] = {"any_in": ["out", "low", "critical"]}
        return found

    def events(self, stream):
        found = {"where": self.where(stream)}
        if self.rng.random() < 0.7:
            found["within"] = self.window()
        if self.for_each and self.rng.random() < 0.3:
            found["over_all"] = True
        return found

    def number(self, depth=2):
        """A value and the unit that it is compared in."""
        plain, made = ("count", "count", "sum", "distinct", "extreme", "since"), ("share", "over", "add", "times")
        kind = self.rng.choice((*plain, *made))
        if depth == 0 and kind in made:
            kind = "count"
        if kind in ("share", "over"):
            one, two = self.number(depth - 1)[0], self.number(depth - 1)[0]
            return ({"share": one, "to": two}, "percent") if kind == "share" else ({"over": [one, two]}, "ratio")
        if kind in ("add", "times"):
            other = (
                self.number(depth - 1)[0] if self.rng.random() < 0.5 else self.param(self.rng.randint(0, 3), "count")
            )
            return {kind: [self.number(depth - 1)[0], other]}, "count"
        return self.leaf(kind)

    def leaf(self, kind):
        rng = self.rng
        if kind == "since" and self.for_each is None:
            stream = self.some_stream()
            if rng.random() < 0.3:
                return {"median_gap": stream}, "duration"
            return {rng.choice(("since", "since_first")): stream, "where": self.where(stream)}, "duration"
        numeric = self.some_stream("number", "minor")
        if kind in ("sum", "extreme") and numeric:
            name = self.field(numeric, "number", "minor")
            word = "sum" if kind == "sum" else rng.choice(("min", "max", "avg"))
            return {word: name, "of": numeric, **self.events(numeric)}, "minor"
        texts = self.some_stream("text")
        if kind == "distinct" and texts:
            name = self.field(texts, "text")
            if name not in ("group_id", "campaign_id"):
                return {"distinct": name, "of": texts, **self.events(texts)}, "count"
        stream = self.some_stream()
        return {"count": stream, **self.events(stream)}, "count"

    def bound(self, unit, value):
        rng = self.rng
        if self.evaluate == "day" and rng.random() < 0.3:
            more = {"population": self.param(rng.randint(1, 3), "count")} if rng.random() < 0.4 else {}
            if rng.random() < 0.2:
                more["history"] = self.param(rng.choice(("30d", "365d")), "duration")
            return {"percentile": self.param(rng.choice((0, 25, 50, 75, 90, 100)), "percent"), **more}
        if rng.random() < 0.15:
            return {"multiple": self.param(rng.randint(1, 2), "count"), "of": self.number(0)[0]}
        if rng.random() < 0.15:
            return {"greatest": [self.bound(unit, value), self.bound(unit, value)]}
        choices = {
            "duration": _SPANS,
            "percent": (0, 10, 50, 100),
            "ratio": (0, 0.5, 1, 1.5),
            "minor": (0, 1, 100, 400),
        }
        return self.param(rng.choice(choices.get(unit, (0, 1, 1, 2, 3))), unit)

    def compare(self):
        value, unit = self.number()
        word = self.rng.choice(("at_least", "at_least", "more_than", "at_most", "less_than"))
        found = {"value": value, word: self.bound(unit, value)}
        if self.evaluate == "day" and self.rng.random() < 0.5:
            found["leave_below" if word in ("at_least", "more_than") else "leave_above"] = self.bound(unit, value)
        return found

    def sequence(self):
        rng = self.rng
        fits = [name for name, s in self.streams.items() if "product_id" in s.fields]
        same = "product_id" if fits else "campaign_id"
        fits = fits or [name for name, s in self.streams.items() if same in s.fields and name != "order"]
        steps = [{"event": [name], "where": self.where(name)} for name in rng.sample(fits, min(3, len(fits)))]
        found = {"first": steps[0], "then": steps[-1], "same": same}
        if len(steps) > 2 and rng.random() < 0.5:
            found[rng.choice(("unless", "until"))] = [steps[1]]
        for name in ("within", "lasts", "lasts_after"):
            if rng.random() < 0.4:
                found[name] = self.param(rng.choice(_SPANS), "duration")
        return found

    def absence(self):
        names = list(self.streams)
        after = self.rng.choice(names)
        return {"without": self.rng.sample(names, 2), "after": after, "where": self.where(after),
                "within": self.param(self.rng.choice(_SPANS), "duration")}  # fmt: skip

    def rule(self, depth=2):
        rng = self.rng
        if depth and rng.random() < 0.5:
            word = rng.choice(("all", "any", "none"))
            return {word: [self.rule(depth - 1) for _ in range(rng.randint(1, 2))]}
        kinds = ["compare"] * 5 + ["open", "member"]
        if self.for_each is None:
            kinds += ["sequence", "absence"] * 2
        kind = rng.choice(kinds)
        if kind == "open":
            stream = self.some_stream()
            return {"open": stream, "where": self.where(stream)}
        if kind == "member":
            known = {"visitor": ("checkout_abandoner", "back_in_stock_waiter"),
                     "customer": ("lapsed_shopper", "new_customer", "won_back")}  # fmt: skip
            return {"cohort": rng.choice(known[self.subject])}
        return {"compare": self.compare, "sequence": self.sequence, "absence": self.absence}[kind]()


def random_cohort(seed):
    """A cohort with a rule that nobody would write, valid by its model."""
    rng = random.Random(seed)
    subject, evaluate = rng.choice(("visitor", "customer")), rng.choice(("day", "instant"))
    family = {"visitor": "category", "customer": "group_id"}[subject] if rng.random() < 0.2 else None
    draft = Draft(rng, subject, evaluate, family)
    rule = draft.rule()
    ends = {"ttl": draft.param("7d", "duration"), "until": [draft.some_stream()]} if "'without'" in repr(rule) else {}
    made = {"id": f"random_{seed}", "subject": subject, "description": "Random.", "evaluate": evaluate,
            "for_each": family, "rule": rule, "params": draft.params}  # fmt: skip
    return Cohort.model_validate(made | (ends if rng.random() < 0.5 else {}))
