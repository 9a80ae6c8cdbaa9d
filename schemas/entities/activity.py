"""What customers and visitors do: events, transactions, referrals, and the links between visitor and customer."""

from __future__ import annotations

from schemas.contract import Column
from schemas.entities.envelope import Entity, Nested

CUSTOMER_EVENTS = Entity(
    name="customer_events",
    description="One thing a visitor or customer did, named as in the Segment e-commerce specification or otherwise.",
    ordered_by="occurred_at",
    partitioned=True,
    columns=(
        Column(
            "event_name",
            "string",
            required=True,
            description="What happened, named as in Segment's e-commerce specification or otherwise.",
        ),
        Column("occurred_at", "timestamp", required=True, description="When it happened."),
        Column("customer_id", "string", references="customers", description="Customer who did it, where known."),
        Column("flockr_vid", "string", description="Anonymous browser-scope visitor id."),
        Column("session_id", "string", description="Session of the visitor."),
        Column(
            "channel", "string", enum=("web", "app", "store", "email", "sms", "call"), description="Where it happened."
        ),
        Column("outlet_id", "string", references="outlets", description="Outlet where it happened."),
        Column("campaign_id", "string", references="campaigns", description="Campaign that it belongs to."),
        Column("link_id", "string", references="links", description="Link that was clicked."),
        Column("product_id", "string", references="products", description="Product that it is about."),
        Column(
            "products",
            "json",
            description="Lines of a cart or an order: product, quantity in thousandths, unit price in minor units.",
        ),
        Column("cart_id", "string", description="Cart."),
        Column("checkout_id", "string", description="Checkout."),
        Column("order_id", "string", references="transactions", description="Order."),
        Column("value_minor", "int64", description="Value in minor units."),
        Column("currency", "string", description="ISO 4217 code of the value."),
        Column("coupon", "string", description="Coupon code."),
        Column("query", "string", description="What was searched for."),
        Column("url_path", "string", description="Path only; a query string may identify a person."),
        Column(
            "resolution_event",
            "string",
            enum=("login", "signup", "checkout", "email_click"),
            description="How the visitor came to be known as the customer.",
        ),
        Column("device_type", "string", enum=("mobile", "desktop", "other"), description="Kind of device."),
        Column(
            "agent_class",
            "string",
            enum=("human", "bot", "unknown"),
            description="Whether the sender takes it for a person or a bot.",
        ),
        Column("message_ref", "string", description="Message that it belongs to."),
        Column("failure_code", "string", description="Why a message failed, as sent."),
        Column("step", "int64", description="Step of the checkout."),
    ),
    nested=(
        (
            "products",
            (
                Nested("product_id", "string", "products"),
                Nested("quantity", "quantity"),
                Nested("unit_price_minor", "int64"),
                Nested("currency", "string"),
                Nested("position", "int64"),
                Nested("variant", "string"),
            ),
        ),
    ),
)

TRANSACTIONS = Entity(
    name="transactions",
    description="A sale, return, exchange, void or adjustment with its lines; money in minor units.",
    ordered_by="updated_at",
    dated_by="occurred_at",
    partitioned=True,
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("occurred_at", "timestamp", required=True),
        Column("type", "string", required=True, enum=("sale", "return", "exchange", "void", "adjustment")),
        Column(
            "status",
            "string",
            required=True,
            enum=("open", "paid", "fulfilled", "completed", "partially_returned", "cancelled"),
        ),
        Column("business_date", "date"),
        Column("customer_id", "string", references="customers"),
        Column("outlet_id", "string", references="outlets"),
        Column("channel", "string", required=True, enum=("store", "web", "app", "marketplace", "phone")),
        Column("original_transaction_id", "string", references="transactions"),
        Column("currency", "string", required=True),
        Column("gross_minor", "int64", required=True),
        Column("discount_minor", "int64"),
        Column("tax_minor", "int64"),
        Column("shipping_minor", "int64"),
        Column("net_minor", "int64", required=True),
        Column("tax_inclusive", "boolean"),
        Column("payment_method", "string"),
        Column("coupon_codes", "json"),
        Column("campaign_ids", "json", references="campaigns"),
        Column("loyalty_points_earned", "int64"),
        Column("loyalty_points_spent", "int64"),
        Column("cashier_ref", "string"),
        Column("pos_id", "string"),
        Column("lines", "json", required=True),
    ),
    nested=(
        (
            "lines",
            (
                Nested("line_no", "int64", required=True),
                Nested("product_id", "string", "products", required=True),
                Nested("quantity", "quantity", required=True),
                Nested("unit_price_minor", "int64", required=True),
                Nested("line_gross_minor", "int64", required=True),
                Nested("line_net_minor", "int64", required=True),
                Nested("line_discount_minor", "int64"),
                Nested("tax_rate", "string"),
                Nested("category", "string"),
                Nested("brand", "string"),
                Nested("promotion_id", "string"),
                Nested("returned_quantity", "quantity"),
                Nested("original_line_no", "int64"),
                Nested("is_gift", "boolean"),
                Nested("serial", "string"),
            ),
        ),
    ),
)

REFERRAL_EVENTS = Entity(
    name="referral_events",
    description="A referral programme event in either Flock shape; unknown names are kept.",
    ordered_by="occurred_at",
    natural_key=("name", "entity_id", "occurred_at"),
    columns=(
        Column("name", "string", required=True),
        Column("occurred_at", "timestamp", required=True),
        Column("referral_entity", "string", description="Kind of the thing that the event is about."),
        Column("entity_id", "string", required=True),
        Column("campaign_id", "string", references="campaigns"),
        Column("referrer_id", "string", references="customers"),
        Column("invitee_id", "string", references="customers"),
        Column("invitee_reward_id", "string"),
        Column("referrer_reward_id", "string"),
        Column("organization_id", "string"),
        Column("application_id", "string"),
        Column("shape", "string", required=True, enum=("A", "B"), description="Which Flock payload shape it came in."),
        Column("description", "string", personal=True, description="Shape B's sentence; it may name people."),
    ),
)

IDENTITY_LINKS = Entity(
    name="identity_links",
    description="A fact that a visitor was a customer from an instant on.",
    ordered_by="occurred_at",
    natural_key=("flockr_vid", "customer_id", "occurred_at"),
    columns=(
        Column("flockr_vid", "string", required=True),
        Column("customer_id", "string", required=True, references="customers"),
        Column("resolution_event", "string", required=True, enum=("login", "signup", "checkout", "email_click")),
        Column("occurred_at", "timestamp", required=True),
    ),
)
