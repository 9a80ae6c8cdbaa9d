"""Products, their stock, and the rates between currencies."""

from __future__ import annotations

from schemas.contract import Column
from schemas.entities.envelope import Entity, Nested

PRODUCTS = Entity(
    name="products",
    description="A product at SKU level.",
    ordered_by="updated_at",
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("parent_id", "string", references="products"),
        Column("name", "string", required=True),
        Column("brand", "string"),
        Column("category_path", "string", required=True, description="'a > b > c'."),
        Column("status", "string", required=True, enum=("active", "discontinued", "draft")),
        Column("price_minor", "int64", required=True),
        Column("currency", "string", required=True),
        Column("list_price_minor", "int64"),
        Column("cost_minor", "int64"),
        Column("gtin", "string"),
        Column("image_url", "string"),
        Column("url", "string"),
        Column("first_published_at", "timestamp"),
        Column("launch_at", "timestamp"),
        Column("discontinued_at", "timestamp"),
        Column("tax_class", "string"),
        Column("unit", "string", enum=("each", "kg", "l")),
        Column("available_quantity", "json", description="Becomes stock_levels."),
        Column("tags", "json"),
    ),
    nested=(
        (
            "available_quantity",
            (
                Nested("outlet_id", "string", "outlets"),
                Nested("group_id", "string", "groups"),
                Nested("on_hand", "quantity"),
                Nested("reserved", "quantity"),
                Nested("available", "quantity"),
                Nested("inbound_at", "timestamp"),
                Nested("inbound_qty", "quantity"),
                Nested("measured_at", "timestamp"),
            ),
        ),
    ),
)

STOCK_LEVELS = Entity(
    name="stock_levels",
    description="Stock of a product at an outlet or group, as measured at an instant; quantities in thousandths.",
    ordered_by="measured_at",
    natural_key=("product_id", "outlet_id", "group_id", "measured_at"),
    partitioned=True,
    columns=(
        Column("product_id", "string", required=True, references="products"),
        Column("outlet_id", "string", references="outlets"),
        Column("group_id", "string", references="groups"),
        Column("on_hand", "quantity", required=True),
        Column("reserved", "quantity", required=True),
        Column("available", "quantity", required=True),
        Column("inbound_at", "timestamp"),
        Column("inbound_qty", "quantity"),
        Column("measured_at", "timestamp", required=True),
    ),
)

FX_RATES = Entity(
    name="fx_rates",
    description="Rate of a day between two currencies, in parts per million.",
    ordered_by="updated_at",
    natural_key=("rate_date", "from_currency", "to_currency"),
    aliases=(("date", "rate_date"),),
    columns=(
        Column("updated_at", "timestamp", required=True),
        Column("rate_date", "date", required=True),
        Column("from_currency", "string", required=True),
        Column("to_currency", "string", required=True),
        Column("rate_ppm", "int64", required=True, minimum=1),
    ),
)
