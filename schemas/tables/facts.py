"""Facts: small daily rollups that every window is computed from."""

from __future__ import annotations

from schemas.contract import Column, Contract
from schemas.tables.shared import DATE

CART_ACTIVITY = Contract(
    name="cart_activity",
    description="Every step that changes a cart or ends it, one row per event and product.",
    primary_key=("date", "flockr_vid", "occurred_at", "event_id", "product_id", "line"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("occurred_at", "timestamp", required=True),
        Column("event_id", "string", required=True, description="external_id of the event."),
        Column("line", "int64", required=True, description="Position in the event's products, 0 for a scalar product."),
        Column("cart_key", "string", required=True, description="cart_id, else the session, else the visitor."),
        Column("step", "string", required=True, enum=("add", "remove", "view", "checkout", "order")),
        Column("product_id", "string", description="Null for steps without a product."),
        Column("quantity", "int64", required=True, description="Thousandths; 0 for steps without a product."),
        Column("unit_price_minor", "int64"),
        Column("currency", "string", description="ISO 4217."),
        Column("outlet_id", "string"),
    ),
)

CUSTOMER_ORDERS = Contract(
    name="customer_orders",
    description="A sale, or a return that names its sale; the order history that order cohorts are computed from.",
    primary_key=("date", "order_id"),
    columns=(
        DATE,
        Column("order_id", "string", required=True, description="external_id of the transaction."),
        Column("kind", "string", required=True, enum=("sale", "return")),
        Column("sale_id", "string", description="The sale a return is against; the order itself for a sale."),
        Column("customer_id", "string", description="Customer, if known; the one it was merged into by then."),
        Column("occurred_at", "timestamp", required=True),
        Column("net_minor", "int64", required=True, description="Negative for a return."),
        Column("currency", "string", required=True, description="ISO 4217."),
        Column("units", "int64", required=True, description="Thousandths; negative for a return."),
        Column("discount_minor", "int64", required=True),
        Column("channel", "string", required=True),
        Column("outlet_id", "string"),
        Column("campaign_ids", "json"),
        Column("sent_customer_id", "string", description="Customer as the transaction names it, merged or not."),
        Column("discounted", "boolean", description="The order or a line has a discount, or a coupon was used."),
        Column(
            "side",
            "string",
            enum=("outlet", "online"),
            description="Online where the channel is, or the outlet was of kind online at that instant.",
        ),
        Column("product_ids", "json", description="Products of its lines, sorted, each once."),
    ),
)

ORDER_LINES = Contract(
    name="order_lines",
    description="Lines of sales and returns, one row per line.",
    primary_key=("date", "order_id", "line_no"),
    columns=(
        DATE,
        Column("order_id", "string", required=True, description="external_id of the transaction."),
        Column("line_no", "int64", required=True),
        Column("kind", "string", required=True, enum=("sale", "return")),
        Column("sale_id", "string"),
        Column("customer_id", "string", description="Customer, if known."),
        Column("occurred_at", "timestamp", required=True),
        Column("product_id", "string"),
        Column("quantity", "int64", required=True, description="Thousandths; negative for a return."),
        Column("net_minor", "int64", required=True),
        Column("discount_minor", "int64", required=True),
        Column("currency", "string", required=True, description="ISO 4217."),
        Column("outlet_id", "string"),
        Column("channel", "string", required=True),
        Column(
            "category",
            "string",
            description="category_path that the product had at that instant; of an unknown product, the line's own.",
        ),
        Column("discounted", "boolean", description="The line has a discount, or a coupon was used."),
    ),
)

VISITOR_ORDERS = Contract(
    name="visitor_orders",
    description="Orders that end a visitor's cart: of an Order Completed, or of the customer linked at that instant.",
    primary_key=("date", "flockr_vid", "order_id"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("order_id", "string", required=True, description="external_id of the transaction."),
        Column("ordered_at", "timestamp", required=True),
        Column("customer_id", "string", description="Customer, if known."),
    ),
)

VISITOR_DAILY = Contract(
    name="visitor_daily",
    description="What a visitor did on a day.",
    primary_key=("date", "flockr_vid"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("events", "int64", required=True),
        Column("sessions", "int64", required=True),
        Column("views", "int64", required=True),
        Column("products_viewed", "int64", required=True, description="Distinct products."),
        Column("adds", "int64", required=True),
        Column("removes", "int64", required=True),
        Column("checkouts", "int64", required=True),
        Column("orders", "int64", required=True),
        Column("first_at", "timestamp", required=True),
        Column("last_at", "timestamp", required=True),
    ),
)

ACTS = ("view", "add", "remove", "wishlist", "unwishlist", "checkout", "alert")

VISITOR_ACTS = Contract(
    name="visitor_acts",
    description="What a visitor did with which product and when, without bots; events that say the same share a row.",
    primary_key=("date", "flockr_vid", "occurred_at", "act", "product_id", "session_id", "outlet_id"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("occurred_at", "timestamp", required=True),
        Column(
            "act",
            "string",
            required=True,
            enum=ACTS,
            description="What was done; checkout is Checkout Started, alert is Stock Alert Requested.",
        ),
        Column("product_id", "string", description="SKU; null for a checkout alone."),
        Column("session_id", "string"),
        Column(
            "category",
            "string",
            description="category_path that the product had at that instant; null while the product is unknown.",
        ),
        Column("outlet_id", "string"),
        Column("count", "int64", required=True, minimum=1, description="Events, or lines of one, that are the same."),
    ),
)

VISITOR_CHECKOUTS = Contract(
    name="visitor_checkouts",
    description="Each Checkout Started and Checkout Step Completed of a visitor, bots left out.",
    primary_key=("date", "flockr_vid", "occurred_at", "event_id"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("occurred_at", "timestamp", required=True),
        Column("event_id", "string", required=True, description="external_id of the event."),
        Column("checkout_id", "string"),
        Column("session_id", "string"),
        Column("value_minor", "int64", description="As the event says."),
        Column("currency", "string", description="ISO 4217."),
        Column("step", "int64", description="Number of the step, as the event says."),
        Column("kind", "string", required=True, enum=("started", "step")),
    ),
)

VISITOR_PURCHASES = Contract(
    name="visitor_purchases",
    description="Products that a visitor bought: the lines of each of the visitor's orders, added up per product.",
    primary_key=("date", "flockr_vid", "order_id", "product_id"),
    columns=(
        DATE,
        Column("flockr_vid", "string", required=True, description="Visitor."),
        Column("order_id", "string", required=True, description="As in visitor_orders."),
        Column("product_id", "string", required=True, description="SKU."),
        Column("ordered_at", "timestamp", required=True),
        Column("customer_id", "string", description="Customer, if known."),
        Column("units", "int64", required=True, description="Thousandths."),
        Column(
            "net_minor",
            "int64",
            description="Null while only an event is known that says no price, or prices in two currencies.",
        ),
        Column("currency", "string", description="ISO 4217."),
        Column("discounted", "boolean", required=True, description="A line has a discount, or the order a coupon."),
        Column(
            "category",
            "string",
            description="category_path that the product had at that instant; of an unknown product, the line's own.",
        ),
    ),
)

LINK_CLICKS = Contract(
    name="link_clicks",
    description="Clicks on links by people: bots are left out.",
    primary_key=("date", "event_id"),
    columns=(
        DATE,
        Column(
            "customer_id", "string", description="Customer by then, named or linked to the visitor; null if unknown."
        ),
        Column("flockr_vid", "string", description="Visitor, named or linked to the customer; null if unknown."),
        Column("link_id", "string", description="As the event says."),
        Column("campaign_id", "string", description="Campaign that the event names, else that of its link."),
        Column("occurred_at", "timestamp", required=True),
        Column("event_id", "string", required=True, description="external_id of the event."),
    ),
)

CUSTOMER_DAILY = Contract(
    name="customer_daily",
    description="What a customer bought and returned on a day, per currency.",
    primary_key=("date", "customer_id", "currency"),
    columns=(
        DATE,
        Column("customer_id", "string", required=True, description="Customer."),
        Column("currency", "string", required=True, description="ISO 4217."),
        Column("orders", "int64", required=True),
        Column("spend_minor", "int64", required=True),
        Column("discount_minor", "int64", required=True),
        Column("units", "int64", required=True, description="Thousandths."),
        Column("returns", "int64", required=True),
        Column("returned_minor", "int64", required=True, description="Positive."),
        Column("first_at", "timestamp", required=True),
        Column("last_at", "timestamp", required=True),
    ),
)

PRODUCT_HOURLY = Contract(
    name="product_hourly",
    description="Demand for a product in a UTC hour; its last quarter apart, so that 15 minute windows are exact.",
    primary_key=("date", "product_id", "hour"),
    columns=(
        DATE,
        Column("product_id", "string", required=True, description="SKU."),
        Column("hour", "timestamp", required=True, description="Start of the UTC hour."),
        Column("views", "int64", required=True),
        Column("views_last_15m", "int64", required=True),
        Column("adds", "int64", required=True),
        Column("adds_last_15m", "int64", required=True),
        Column("purchases", "int64", required=True, description="Sale lines."),
        Column("purchases_last_15m", "int64", required=True),
    ),
)

PRODUCT_DAILY = Contract(
    name="product_daily",
    description="Demand, sales and stock of a product on a day, over all places.",
    primary_key=("date", "product_id"),
    columns=(
        DATE,
        Column("product_id", "string", required=True, description="SKU."),
        Column("views", "int64", required=True),
        Column("viewers", "int64", required=True, description="Distinct visitors."),
        Column("adds", "int64", required=True),
        Column("purchases", "int64", required=True, description="Sale lines."),
        Column("units_sold", "int64", required=True, description="Thousandths."),
        Column("units_returned", "int64", required=True, description="Thousandths, positive."),
        Column(
            "revenue_minor", "int64", required=True, description="Net of sale lines; only where one currency was used."
        ),
        Column("currency", "string", description="ISO 4217."),
        Column(
            "in_stock",
            "boolean",
            description="Some stock was available at some time of the day; null when never measured.",
        ),
        Column(
            "available_end",
            "int64",
            description="Thousandths available at the end of the day; null when never measured.",
        ),
    ),
)
