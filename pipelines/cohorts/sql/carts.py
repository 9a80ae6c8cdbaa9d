"""Cohorts of carts as SQL: carts folded with windows from ``cart_steps`` and the visitor's orders, up to the instant.

An epoch of a cart ends with an order, or when it was silent for the ttl. A spell is a run of instants of an epoch
after which the cart holds something.
"""
# ruff: noqa: S608 (names and numbers of checked definitions only)

from __future__ import annotations

from pipelines.cohorts.language.carts import CartSignal, CartValue
from pipelines.cohorts.language.rules import All, Cohort, Member, Without
from pipelines.cohorts.sql.scope import Context, Scope
from pipelines.cohorts.sql.statement import among, quoted
from pipelines.errors import UsageError

_CART = "subject, cart_key"
#: Later than anything, with room for a duration after it.
INF = 2**62


def members(ctx: Context, cohort: Cohort) -> str:
    """Part with the visitors who are members of a cart cohort.

    Raises:
        UsageError: the rule is none of the three about carts.
    """
    if isinstance(cohort.rule, Without):
        return _named(ctx, cohort, _abandoned(ctx, cohort))
    if isinstance(cohort.rule, All) and len(cohort.rule.all) == 2:
        parent, leaf = cohort.rule.all
        base = ctx.cohorts.get(parent.cohort) if isinstance(parent, Member) else None
        if base is not None and isinstance(base.rule, Without):
            if isinstance(leaf, CartValue):
                return _named(ctx, cohort, _valuable(ctx, cohort, base, leaf))
            if isinstance(leaf, CartSignal):
                return _named(ctx, cohort, _scarce(ctx, cohort, base, leaf))
    raise UsageError(f"cohort {cohort.id}: rule: SQL knows carts alone, with a value, or with a signal; not together")


def bounds_sql(ctx: Context, cohort: Cohort) -> str:
    """One SELECT with the bound of a cohort of valuable carts on each tenant day: ``date`` and ``bound``.

    The days are those from the first cart step on.
    """
    assert isinstance(cohort.rule, All)  # noqa: S101
    parent, leaf = cohort.rule.all
    assert isinstance(parent, Member) and isinstance(leaf, CartValue)  # noqa: S101
    base = ctx.cohorts[parent.cohort]
    _abandoned(ctx, base)
    _day_bounds(ctx, Scope(cohort, "", ctx.day), base, leaf)
    return ctx.statement.text("SELECT date, bound FROM day_bounds")


def _named(ctx: Context, cohort: Cohort, carts: str) -> str:
    return ctx.statement.add(f"in_{cohort.id}", f"SELECT DISTINCT subject FROM {carts}")


def _abandoned(ctx: Context, base: Cohort) -> str:
    """Carts that are open and abandoned at the instant.

    Their columns are ``subject``, ``cart_key``, ``epoch``, ``empty_at`` (before the spell) and ``abandoned_at``.
    """
    assert isinstance(base.rule, Without) and base.ttl  # noqa: S101
    scope = Scope(base, "", ctx.day)
    silence, ttl = scope.duration(base.rule.within), scope.duration(base.ttl)
    _epochs(ctx, ttl)
    _items(ctx)
    _instants(ctx)
    ctx.statement.add(
        "silences",
        f"""
        SELECT {_CART}, epoch, i.at AS active_at, i.at + {silence} AS due
        FROM cart_instants i
        WHERE open_items > 0 AND i.at + {silence} <= {ctx.x} AND i.at + {silence} <= coalesce(following, {INF})
        """,
    )
    return ctx.statement.add(
        "abandoned_carts",
        f"""
        WITH spells AS (
          SELECT {_CART}, epoch, coalesce(max(i.at) FILTER (open_items = 0), -1) AS empty_at,
            arg_max(open_items, i.at) AS open_items, max(i.at) AS last_at
          FROM cart_instants i WHERE (subject, cart_key, epoch) IN (SELECT subject, cart_key, epoch FROM open_epochs)
          GROUP BY {_CART}, epoch
        )
        SELECT {_CART}, epoch, empty_at, min(due) AS abandoned_at
        FROM spells JOIN silences USING (subject, cart_key, epoch)
        WHERE spells.open_items > 0 AND last_at + {ttl} > {ctx.x} AND active_at > empty_at
        GROUP BY {_CART}, epoch, empty_at
        """,
    )


def _epochs(ctx: Context, ttl: str) -> None:
    steps, orders = _steps(ctx), ctx.relation("visitor", "order")
    ctx.statement.add(
        "cart_path",
        f"""
        WITH carts AS (SELECT DISTINCT {_CART} FROM {steps} WHERE step <> 'order'),
        happened AS (
          SELECT DISTINCT {_CART}, s.at, false AS closes FROM {steps} s WHERE step <> 'order' AND s.at <= {ctx.x}
          UNION SELECT {_CART}, s.at, true FROM {steps} s JOIN carts USING (subject, cart_key)
          WHERE step = 'order' AND s.at <= {ctx.x}
          UNION SELECT {_CART}, o.at, true FROM carts JOIN {orders} o USING (subject) WHERE o.at <= {ctx.x}
        ),
        begun AS (
          SELECT h.*, coalesce(lag(closes) OVER path OR (NOT closes AND h.at - lag(h.at) OVER path >= {ttl}), true)
            AS begins
          FROM happened h WINDOW path AS (PARTITION BY {_CART} ORDER BY h.at, closes)
        )
        SELECT {_CART}, b.at, closes, sum(begins::BIGINT) OVER (PARTITION BY {_CART} ORDER BY b.at, closes) AS epoch
        FROM begun b
        """,
    )
    ctx.statement.add(
        "open_epochs",
        f"""
        SELECT {_CART}, max(epoch) AS epoch FROM cart_path
        GROUP BY {_CART} HAVING NOT bool_or(closes) OR max(epoch) > max(epoch) FILTER (closes)
        """,
    )


def _steps(ctx: Context) -> str:
    if ctx.tables:
        ctx.statement.add(
            "cart_steps",
            """
            SELECT flockr_vid AS subject, epoch_us(occurred_at) AS at, event_id, line, cart_key, step, product_id,
              quantity, unit_price_minor, currency
            FROM cart_activity
            """,
        )
    return "cart_steps"


def _items(ctx: Context) -> None:
    """What each cart holds of each product after each step, and how the sums over the cart change."""
    own = quoted(ctx.currency)
    ctx.statement.add(
        "cart_items",
        f"""
        WITH moved AS (
          SELECT s.subject, s.cart_key, p.epoch, s.product_id, s.at, s.event_id, s.line,
            CASE step WHEN 'add' THEN quantity WHEN 'remove' THEN -quantity ELSE 0 END AS change,
            unit_price_minor AS price, CASE WHEN unit_price_minor IS NOT NULL THEN currency END AS currency
          FROM cart_steps s JOIN cart_path p ON p.subject = s.subject AND p.cart_key = s.cart_key AND p.at = s.at
          WHERE NOT p.closes AND s.step <> 'order' AND s.product_id IS NOT NULL
        ),
        summed AS (
          SELECT m.*, sum(change) OVER item AS total, last_value(price IGNORE NULLS) OVER item AS known_price,
            last_value(currency IGNORE NULLS) OVER item AS known_currency
          FROM moved m
          WINDOW item AS (PARTITION BY {_CART}, epoch, product_id ORDER BY m.at, event_id, line
            ROWS UNBOUNDED PRECEDING)
        ),
        floored AS (
          -- A quantity never falls below zero: the sum less the deepest that it was below.
          SELECT s.*, total - least(0, min(total) OVER (PARTITION BY {_CART}, epoch, product_id
            ORDER BY s.at, event_id, line ROWS UNBOUNDED PRECEDING)) AS quantity
          FROM summed s
        ),
        valued AS (
          SELECT f.*, quantity > 0 AS held, coalesce(known_currency = {own}, false) AS own,
            coalesce(quantity * known_price, 0) AS thousandths
          FROM floored f
        )
        SELECT {_CART}, epoch, product_id, v.at, event_id, line, quantity,
          held::BIGINT AS open_items,
          (held AND known_currency IS NOT NULL)::BIGINT AS priced,
          (held AND known_currency <> {own})::BIGINT AS foreign_items,
          CASE WHEN own THEN thousandths // 1000
            + (thousandths % 1000 + (thousandths // 1000) % 2 > 500)::BIGINT ELSE 0 END AS value
        FROM valued v
        """,
    )


def _instants(ctx: Context) -> None:
    """Sums over each cart after each instant at which something happened to it, and the next such instant."""
    names = ("open_items", "priced", "foreign_items", "value")
    steps = ",\n            ".join(
        f"coalesce({name}, 0) - coalesce(lag({name}) OVER item, 0) AS {name}" for name in names
    )
    totals = ",\n          ".join(f"sum(coalesce(t.{name}, 0)) OVER path AS {name}" for name in names)
    ctx.statement.add(
        "cart_instants",
        f"""
        WITH changes AS (
          SELECT {_CART}, epoch, i.at,
            {steps}
          FROM cart_items i WINDOW item AS (PARTITION BY {_CART}, epoch, product_id ORDER BY i.at, event_id, line)
        ),
        changed AS (
          SELECT {_CART}, epoch, c.at, {", ".join(f"sum({name}) AS {name}" for name in names)}
          FROM changes c GROUP BY {_CART}, epoch, c.at
        )
        SELECT p.subject, p.cart_key, p.epoch, p.at,
          {totals},
          lead(p.at) OVER path AS following
        FROM cart_path p LEFT JOIN changed t
        ON t.subject = p.subject AND t.cart_key = p.cart_key AND t.epoch = p.epoch AND t.at = p.at
        WHERE NOT p.closes
        WINDOW path AS (PARTITION BY p.subject, p.cart_key, p.epoch ORDER BY p.at)
        """,
    )


def _valuable(ctx: Context, cohort: Cohort, base: Cohort, leaf: CartValue) -> str:
    """Abandoned carts whose last decisive comparison said that they are worth enough."""
    scope = Scope(cohort, "", ctx.day)
    carts = _abandoned(ctx, base)
    _day_bounds(ctx, scope, base, leaf)
    keep = scope.param(leaf.leave_below).num
    return ctx.statement.add(
        "valuable_carts",
        f"""
        WITH seen AS (
          SELECT a.subject, a.cart_key, i.value, greatest(i.at, a.abandoned_at) AS seen_from,
            coalesce(i.following, {INF}) AS seen_to
          FROM {carts} a JOIN cart_instants i USING (subject, cart_key, epoch)
          WHERE i.at > a.empty_at AND coalesce(i.following, {INF}) > a.abandoned_at
        ),
        compared AS (
          -- When it is abandoned, when it changes, and when a day with another bound begins.
          SELECT s.subject, s.cart_key, s.value, d.bound, greatest(s.seen_from, d.starts) AS compared_at
          FROM seen s JOIN day_bounds d
          ON s.seen_from < d.ends AND (s.seen_from >= d.starts OR (d.starts < s.seen_to AND d.starts <= {ctx.x}))
        )
        SELECT subject, cart_key FROM compared WHERE value >= bound OR value * 100 < bound * {keep}
        GROUP BY subject, cart_key HAVING arg_max(value >= bound, compared_at)
        """,
    )


def _day_bounds(ctx: Context, scope: Scope, base: Cohort, leaf: CartValue) -> None:
    """The bound of each tenant day since the first step: ``starts``, ``ends``, ``bound``."""
    floor, share = leaf.at_least.greatest
    ttl = Scope(base, "", ctx.day).duration(base.ttl or "")
    zone = quoted(ctx.zone.key)
    ctx.statement.add(
        "tenant_days",
        f"""
        SELECT day::DATE AS date, epoch_us(day AT TIME ZONE {zone}) AS starts,
          epoch_us((day + INTERVAL 1 DAY) AT TIME ZONE {zone}) AS ends
        FROM generate_series((SELECT (make_timestamptz(min(s.at)) AT TIME ZONE {zone})::DATE FROM cart_steps s),
          DATE '{ctx.day}'::TIMESTAMP, INTERVAL 1 DAY) t(day)
        """,
    )
    ctx.statement.add(
        "open_values",
        f"""
        SELECT d.date, i.value
        FROM cart_instants i
        LEFT JOIN cart_path c ON c.closes AND c.subject = i.subject AND c.cart_key = i.cart_key AND c.epoch = i.epoch
        JOIN tenant_days d
        ON i.at < d.ends AND d.ends <= least(coalesce(i.following, {INF}), coalesce(c.at, {INF}), i.at + {ttl})
        WHERE i.open_items > 0 AND i.priced > 0 AND i.foreign_items = 0
        """,
    )
    least = scope.param(floor).num
    percent, partitions = scope.param(share.percentile).num, scope.param(share.partitions).num
    ctx.statement.add(
        "day_bounds",
        f"""
        WITH pooled AS (
          SELECT d.date, d.starts, d.ends, list_sort(list(v.value) FILTER (v.value IS NOT NULL)) AS pool
          FROM tenant_days d LEFT JOIN open_values v ON v.date < d.date AND v.date >= d.date - {partitions}
          GROUP BY d.date, d.starts, d.ends
        )
        SELECT date, starts, ends,
          greatest({least}, coalesce(pool[greatest(1, (len(pool) * {percent} + 99) // 100)], 0)) AS bound
        FROM pooled
        """,
    )


def _scarce(ctx: Context, cohort: Cohort, base: Cohort, leaf: CartSignal) -> str:
    """Abandoned carts that held a scarce product at a silence, and since then never went without for long enough."""
    carts = _abandoned(ctx, base)
    crossing = ctx.relation("product", "crossing")
    quiet = Scope(cohort, "", ctx.day).duration(leaf.leave_after)
    ctx.statement.add(
        "scarce_in_carts",
        f"""
        WITH spans AS (
          SELECT product_id, to_state, c.at AS scarce_from,
            coalesce(lead(c.at) OVER (PARTITION BY product_id ORDER BY c.at), {INF}) AS scarce_to
          FROM {crossing} c WHERE signal = {quoted(leaf.signal)} AND c.at <= {ctx.x}
        ),
        held AS (
          SELECT {_CART}, epoch, product_id, i.at AS present_from, quantity,
            coalesce(lead(i.at) OVER (PARTITION BY {_CART}, epoch, product_id ORDER BY i.at, event_id, line), {INF})
              AS present_to
          FROM cart_items i
        )
        SELECT a.subject, a.cart_key, present_from, present_to, scarce_from, scarce_to,
          greatest(present_from, scarce_from) AS low_from, least(present_to, scarce_to) AS low_to
        FROM {carts} a JOIN held h USING (subject, cart_key, epoch) JOIN spans s USING (product_id)
        WHERE h.quantity > 0 AND h.present_from < h.present_to AND h.present_from > a.empty_at
          AND s.to_state IN {among(leaf.any_in)} AND present_from <= scarce_to AND scarce_from < present_to
        """,
    )
    return ctx.statement.add(
        "scarce_carts",
        f"""
        WITH entered AS (
          SELECT DISTINCT a.subject, a.cart_key, s.due
          FROM {carts} a JOIN silences s USING (subject, cart_key, epoch)
          JOIN scarce_in_carts l ON l.subject = a.subject AND l.cart_key = a.cart_key
            AND l.present_from <= s.due AND s.due < l.present_to AND l.scarce_from < s.due AND s.due <= l.scarce_to
          WHERE s.active_at > a.empty_at
        ),
        cleared AS (
          SELECT l.subject, l.cart_key, l.low_to + {quiet} AS cleared_at FROM scarce_in_carts l
          WHERE l.low_to <= {ctx.x} - {quiet} AND NOT EXISTS (
            FROM scarce_in_carts o WHERE o.subject = l.subject AND o.cart_key = l.cart_key
              AND o.low_from < l.low_to + {quiet} AND o.low_to > l.low_to
          )
        )
        SELECT subject, cart_key FROM entered e WHERE NOT EXISTS (
          FROM cleared c WHERE c.subject = e.subject AND c.cart_key = e.cart_key AND c.cleared_at > e.due
        )
        """,
    )
