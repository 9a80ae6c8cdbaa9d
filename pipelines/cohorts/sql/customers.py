"""Customers' streams as SQL: orders until all of them came back, their money, clicks, referrals and opt-outs.

A row belongs to the customer that its id stands for: a merge ends it for one and begins it for the other.
``{currency}`` and ``{start}`` are put in by ``streams``.
"""
# ruff: noqa: S608 (names and numbers only)

from __future__ import annotations

from collections.abc import Mapping

from pipelines.cohorts.sql.statement import INF

#: For whom an id stands when: in [starts, ends).
_STANDS_FOR = f"""
SELECT external_id, customer_id AS holder, epoch_us(effective_from) AS starts,
  coalesce(epoch_us(lead(effective_from) OVER (PARTITION BY external_id ORDER BY effective_from)), {INF}) AS ends
FROM customer_merges
UNION ALL
SELECT external_id, external_id, {-INF}, epoch_us(min(effective_from)) FROM customer_merges
GROUP BY external_id HAVING min(effective_from) > TIMESTAMPTZ '0001-01-01 00:00:00+00'
"""


def _held(rows: str, fields: str) -> str:
    """Rows with ``customer``, ``at``, ``since`` and ``until`` as those of the customers they belong to."""
    since = "greatest(r.since, coalesce(h.starts, r.since))"
    until = "least(r.until, coalesce(h.ends, r.until))"
    return f"""
SELECT coalesce(h.holder, r.customer) AS subject, r.at,
  {since} AS since, {until} AS until, 1 AS times{fields}
FROM {rows} r LEFT JOIN stands_for h ON h.external_id = r.customer
WHERE r.customer IS NOT NULL AND {since} < {until}
"""


def _happened(table: str) -> str:
    """Rows with ``customer``, ``at`` and ``until`` in brackets; they count from their own instant on."""
    return f"(SELECT t.*, t.at AS since FROM ({table}) t)"


#: Sales with the customer that was sent and the instant by which all units had come back.
_SALES = f"""
WITH back AS (
  SELECT sale_id, epoch_us(occurred_at) AS back_at,
    sum(-units) OVER (PARTITION BY sale_id ORDER BY occurred_at, order_id ROWS UNBOUNDED PRECEDING) AS came_back
  FROM customer_orders WHERE kind = 'return'
),
whole AS (
  SELECT s.order_id, min(b.back_at) AS back_at
  FROM customer_orders s JOIN back b ON b.sale_id = s.order_id AND b.came_back >= s.units
  WHERE s.kind = 'sale' GROUP BY s.order_id
)
SELECT s.order_id, coalesce(s.sent_customer_id, s.customer_id) AS customer, epoch_us(s.occurred_at) AS at,
  epoch_us(s.occurred_at) AS since, greatest(coalesce(w.back_at, {INF}), epoch_us(s.occurred_at)) AS until,
  s.side, s.channel, s.outlet_id, s.discounted, s.net_minor, s.currency, s.product_ids
FROM customer_orders s LEFT JOIN whole w USING (order_id)
WHERE s.kind = 'sale'
"""

#: Money of sales and returns, each at the instant of its sale and from its own on.
_MONEY = f"""
SELECT coalesce(s.sent_customer_id, s.customer_id) AS customer, r.kind, r.net_minor, epoch_us(s.occurred_at) AS at,
  greatest(epoch_us(s.occurred_at), epoch_us(r.occurred_at)) AS since, {INF} AS until
FROM customer_orders r JOIN customer_orders s ON s.order_id = r.sale_id AND s.kind = 'sale'
WHERE r.currency = {{currency}}
"""

_VERSIONS = """
SELECT {columns}, is_deleted, coalesce(epoch_us(effective_to), 4611686018427387904) AS until,
  CASE WHEN effective_from = min(effective_from) OVER (PARTITION BY external_id) THEN 0
    ELSE epoch_us(effective_from) END AS since
FROM {table}
"""
_GROUP_VERSIONS = _VERSIONS.replace(
    "{columns}",
    "external_id, parent_id, outlet_ids, epoch_us(valid_from) AS valid_from, epoch_us(valid_to) AS valid_to",
).replace("{table}", "groups_history")
_OUTLET_VERSIONS = _VERSIONS.replace("{columns}", "external_id, group_ids").replace("{table}", "outlets_history")

_GROUP_HELD = (
    "v.since <= {0} AND {0} < v.until AND NOT v.is_deleted "
    "AND coalesce(v.valid_from <= {0}, true) AND coalesce({0} < v.valid_to, true)"
)

#: Groups that the outlet of a sale was in at its instant, and the groups around them.
_SALE_GROUPS = f"""
WITH RECURSIVE inside AS (
  SELECT s.order_id, s.at, unnest(from_json(v.group_ids, '["VARCHAR"]')) AS group_id
  FROM sales s JOIN outlet_versions v
  ON v.external_id = s.outlet_id AND v.since <= s.at AND s.at < v.until AND NOT v.is_deleted
  UNION
  SELECT s.order_id, s.at, v.external_id FROM sales s JOIN group_versions v
  ON list_contains(from_json(v.outlet_ids, '["VARCHAR"]'), s.outlet_id) AND {_GROUP_HELD.format("s.at")}
),
around AS (
  SELECT order_id, i.at, group_id FROM inside i
  UNION
  SELECT a.order_id, a.at, v.parent_id FROM around a JOIN group_versions v
  ON v.external_id = a.group_id AND v.parent_id IS NOT NULL AND {_GROUP_HELD.format("a.at")}
)
SELECT order_id, list(DISTINCT group_id) AS group_id FROM around WHERE group_id IS NOT NULL GROUP BY order_id
"""

_ORDER_FIELDS = ", ".join(
    ["", *(f"r.{name}" for name in ("order_id", "side", "channel", "outlet_id", "discounted", "net_minor"))]
)
_ORDER = _held("sales", _ORDER_FIELDS)
_ORDER_IN_GROUPS = _held("(FROM sales LEFT JOIN sale_groups USING (order_id))", f"{_ORDER_FIELDS}, r.group_id")

#: Products that a campaign is about.
_CAMPAIGN_PRODUCTS = """
SELECT DISTINCT campaign_id, p.product_id FROM (
  SELECT external_id AS campaign_id,
    unnest(from_json(products, '[{"product_id": "VARCHAR", "role": "VARCHAR"}]')) AS p
  FROM campaigns
) WHERE p.product_id IS NOT NULL AND p.role IS DISTINCT FROM 'excluded'
"""

_CAMPAIGN_SALES = """
SELECT DISTINCT s.order_id, s.customer, s.at, s.since, s.until, c.campaign_id
FROM sales s JOIN campaign_products c ON list_contains(from_json(s.product_ids, '["VARCHAR"]'), c.product_id)
"""


def _referral(name: str) -> str:
    return (
        "SELECT DISTINCT referrer_id AS customer, epoch_us(occurred_at) AS at, campaign_id, entity_id "
        f"FROM referral_events WHERE name = 'referral.{name}'"
    )


_ACCEPTED = _held(_happened(f"SELECT a.*, {INF} AS until FROM ({_referral('accepted')}) a"), ", r.campaign_id")
#: A flag is closed by the first word about the same referral after it.
_FLAGGED = _held(
    _happened(
        f"""
    SELECT f.*, coalesce((
      SELECT min(epoch_us(e.occurred_at)) FROM referral_events e
      WHERE e.name IN ('referral.accepted', 'referral.rejected') AND e.entity_id = f.entity_id
        AND epoch_us(e.occurred_at) >= f.at
    ), {INF}) AS until FROM ({_referral("flagged")}) f
  """
    ),
    ", r.campaign_id",
)

#: An opt-out holds until the customer's next word about the channel.
_OPT_OUT = _held(
    _happened(
        f"""
    SELECT * FROM (
      SELECT customer_id AS customer, epoch_us(occurred_at) AS at, channel, reason, action,
        coalesce(lead(epoch_us(occurred_at)) OVER (PARTITION BY customer_id, channel ORDER BY occurred_at, external_id),
          {INF}) AS until
      FROM opt_outs WHERE scope IS DISTINCT FROM 'campaign' AND customer_id IS NOT NULL
    ) WHERE action = 'opt_out'
  """
    ),
    ", r.channel, r.reason",
)

_LINK_CLICK = _held(
    _happened(
        f"SELECT customer_id AS customer, epoch_us(occurred_at) AS at, {INF} AS until, campaign_id, link_id "
        "FROM link_clicks"
    ),
    ", r.campaign_id, r.link_id",
)

#: The category that most was spent on until the day began; ties go to the first.
_CATEGORY = f"""
WITH spent AS (
  SELECT coalesce(h.holder, s.customer) AS subject, l.category, sum(l.net_minor) AS spend
  FROM order_lines l JOIN sales s ON s.order_id = l.sale_id
  LEFT JOIN stands_for h ON h.external_id = s.customer AND h.starts < {{start}} AND {{start}} <= h.ends
  WHERE epoch_us(l.occurred_at) < {{start}} AND l.currency = {{currency}}
    AND l.category IS NOT NULL AND s.customer IS NOT NULL
  GROUP BY ALL
)
SELECT subject, {{start}} AS at, {{start}} AS since, {INF} AS until, 1 AS times,
  arg_max(category, (spend, -category_rank)) AS category
FROM (SELECT *, row_number() OVER (ORDER BY category) AS category_rank FROM spent) GROUP BY subject
"""

CUSTOMERS: Mapping[str, str] = {
    "stands_for": _STANDS_FOR,
    "sales": _SALES,
    "money": _MONEY,
    "group_versions": _GROUP_VERSIONS,
    "outlet_versions": _OUTLET_VERSIONS,
    "sale_groups": _SALE_GROUPS,
    "campaign_products": _CAMPAIGN_PRODUCTS,
    "campaign_sales": _CAMPAIGN_SALES,
    "customer_order": _ORDER,
    "customer_order_in_groups": _ORDER_IN_GROUPS,
    "customer_spend": _held("money", ", r.net_minor"),
    "customer_sold": _held("(FROM money WHERE kind = 'sale')", ", r.net_minor"),
    "customer_returned": _held(
        "(SELECT customer, m.at, since, until, -net_minor AS net_minor FROM money m WHERE kind = 'return')",
        ", r.net_minor",
    ),
    "customer_campaign_order": _held("campaign_sales", ", r.order_id, r.campaign_id"),
    "customer_link_click": _LINK_CLICK,
    "customer_referral_accepted": _ACCEPTED,
    "customer_referral_flagged": _FLAGGED,
    "customer_opt_out": _OPT_OUT,
    "customer_category": _CATEGORY,
}
#: Parts that a part reads.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "sale_groups": ("sales", "group_versions", "outlet_versions"),
    "campaign_sales": ("sales", "campaign_products"),
    "customer_order": ("stands_for", "sales"),
    "customer_order_in_groups": ("stands_for", "sale_groups"),
    "customer_spend": ("stands_for", "money"),
    "customer_sold": ("stands_for", "money"),
    "customer_returned": ("stands_for", "money"),
    "customer_campaign_order": ("stands_for", "campaign_sales"),
    "customer_link_click": ("stands_for",),
    "customer_referral_accepted": ("stands_for",),
    "customer_referral_flagged": ("stands_for",),
    "customer_opt_out": ("stands_for",),
    "customer_category": ("stands_for", "sales"),
}
