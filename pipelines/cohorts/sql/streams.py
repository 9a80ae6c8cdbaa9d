"""Rows of the streams as SQL over the lake's tables, one named part for each; instants are microseconds since 1970.

A part has ``subject``, ``at``, ``since``, ``until``, ``times`` and the fields of its stream. Customers' streams that
need more than a table are in ``customers``.
"""
# ruff: noqa: S608 (names and numbers only)

from __future__ import annotations

from collections.abc import Mapping

from pipelines.cohorts.sql.customers import CUSTOMERS, NEEDS
from pipelines.cohorts.sql.statement import INF, Statement, quoted
from schemas.tables import SIGNAL_CROSSINGS

#: Fields that hold a list of values.
LISTS = frozenset({"group_id"})

_ACTS = ("add", "remove", "wishlist", "unwishlist", "alert", "checkout")
#: What is said of a row that counts from its own instant on and for ever.
_EVER = f"epoch_us({{0}}) AS at, epoch_us({{0}}) AS since, {INF} AS until"


def _act(name: str) -> str:
    return f"""
    SELECT flockr_vid AS subject, {_EVER.format("occurred_at")}, count AS times,
      product_id, category, session_id, outlet_id
    FROM visitor_acts WHERE act = {quoted(name)}
    """


#: A view without a session is a session of its own.
_VIEW = f"""
WITH acts AS (
  SELECT flockr_vid AS subject, epoch_us(occurred_at) AS at, act, count, product_id, session_id,
    sum(count) FILTER (act = 'view' AND product_id IS NOT NULL) OVER (
      PARTITION BY flockr_vid, session_id, product_id ORDER BY occurred_at RANGE UNBOUNDED PRECEDING) AS views
  FROM visitor_acts WHERE act IN ('view', 'add') AND session_id IS NOT NULL
),
sessions AS (
  SELECT DISTINCT subject, session_id, a.at,
    count(DISTINCT product_id) FILTER (act = 'view') OVER so_far AS session_products,
    max(views) OVER so_far AS session_repeats,
    coalesce(sum(count) FILTER (act = 'add') OVER so_far, 0)::BIGINT AS session_adds
  FROM acts a
  WINDOW so_far AS (PARTITION BY subject, session_id ORDER BY a.at RANGE UNBOUNDED PRECEDING)
)
SELECT v.flockr_vid AS subject, {_EVER.format("v.occurred_at")}, v.count AS times,
  v.product_id, v.category, v.session_id, v.outlet_id,
  coalesce(s.session_products, 1) AS session_products,
  coalesce(s.session_repeats, v.count)::BIGINT AS session_repeats,
  coalesce(s.session_adds, 0) AS session_adds
FROM visitor_acts v LEFT JOIN sessions s
ON s.subject = v.flockr_vid AND s.session_id = v.session_id AND s.at = epoch_us(v.occurred_at)
WHERE v.act = 'view'
"""

_BUY = f"""
SELECT flockr_vid AS subject, {_EVER.format("ordered_at")}, 1 AS times, product_id, category, order_id, discounted
FROM visitor_purchases
"""

_ORDER = f"""
SELECT flockr_vid AS subject, {_EVER.format("ordered_at")}, 1 AS times, order_id FROM visitor_orders
"""

_ACTIVITY = f"SELECT flockr_vid AS subject, {_EVER.format('last_at')}, 1 AS times FROM visitor_daily"

_CART_ACTIVITY = f"SELECT flockr_vid AS subject, {_EVER.format('occurred_at')}, 1 AS times FROM cart_activity"

#: Of the views of a day: scarce when the product was at one of them, converted from the first act within a day after.
_SCARCE_DAY = f"""
WITH views AS (
  SELECT v.date, v.flockr_vid AS subject, v.product_id, epoch_us(v.occurred_at) AS at, c.to_state
  FROM visitor_acts v ASOF LEFT JOIN (
    SELECT p.product_id, p.at, p.to_state FROM product_crossing p WHERE p.signal = 'scarcity_state'
  ) c ON c.product_id = v.product_id AND c.at <= epoch_us(v.occurred_at)
  WHERE v.act = 'view' AND v.product_id IS NOT NULL
),
acts AS (
  SELECT a.subject, a.product_id, a.at FROM visitor_add a
  UNION SELECT b.subject, b.product_id, b.at FROM visitor_buy b
),
days AS (
  SELECT v.date, v.subject, v.product_id, min(v.at) AS at, coalesce(bool_or(to_state IN ('low', 'critical')), false)
    AS scarce
  FROM views v GROUP BY v.date, v.subject, v.product_id
),
converted AS (
  SELECT v.date, v.subject, v.product_id, min(a.at) AS converted_at
  FROM views v JOIN acts a ON a.subject = v.subject AND a.product_id = v.product_id
    AND a.at >= v.at AND a.at <= v.at + 86400000000
  GROUP BY v.date, v.subject, v.product_id
)
SELECT d.subject, d.at, d.at AS since, coalesce(converted_at, {INF}) AS until, 1 AS times,
  d.product_id, scarce, false AS converted
FROM days d LEFT JOIN converted c USING (date, subject, product_id) WHERE d.at < coalesce(converted_at, {INF})
UNION ALL
SELECT d.subject, d.at, converted_at AS since, {INF} AS until, 1 AS times, d.product_id, scarce, true AS converted
FROM days d JOIN converted c USING (date, subject, product_id)
"""

_OF_TENANT = " AND place IS NULL" if "place" in SIGNAL_CROSSINGS.names else ""
_CROSSING = f"""
SELECT NULL AS subject, {_EVER.format("effective_at")}, 1 AS times,
  signal_id AS signal, from_state, to_state, subject AS product_id
FROM signal_crossings WHERE subject_type = 'product' AND suppressed_by IS NULL{_OF_TENANT}
"""

_TEXTS: Mapping[str, str] = {
    "visitor_view": _VIEW,
    **{f"visitor_{name}": _act(name) for name in _ACTS},
    "visitor_buy": _BUY,
    "visitor_order": _ORDER,
    "visitor_activity": _ACTIVITY,
    "visitor_cart_activity": _CART_ACTIVITY,
    "visitor_scarce_day": _SCARCE_DAY,
    "product_crossing": _CROSSING,
    **CUSTOMERS,
}
#: Parts that a part reads.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "visitor_scarce_day": ("product_crossing", "visitor_add", "visitor_buy"),
    **NEEDS,
}


def add_stream(statement: Statement, name: str, start: int, currency: str) -> None:
    """Add the part of a stream, and those that it reads.

    Args:
        statement: where to.
        name: name of the relation, such as ``visitor_view``.
        start: first microsecond of the day that is asked for.
        currency: of the tenant; other money does not count.
    """
    for other in _NEEDS.get(name, ()):
        add_stream(statement, other, start, currency)
    statement.add(name, _TEXTS[name].replace("{currency}", quoted(currency)).replace("{start}", str(start)))
