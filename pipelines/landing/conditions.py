"""What an upsert must say beyond its required fields: fields that depend on others, and amounts that must add up.

Patches and tombstones lack fields by design, so that nothing here is asked of them; nor is the folded record, which
arrives as several rows in any order. What a single field must look like is decided in ``typed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from pipelines.landing.refusals import Verdict

Broken = tuple[pl.Expr, str]

#: Events that are about a product and mean nothing without one.
PRODUCT_EVENTS = (
    "Product Viewed",
    "Product Added",
    "Product Removed",
    "Product Added to Wishlist",
    "Product Removed from Wishlist",
    "Stock Alert Requested",
)
#: Types whose record names the transaction that it takes back or replaces.
FOLLOWING = ("return", "exchange", "void")
_DIGITS = r"(?:[0-9][ -]?){12,18}[0-9]"
_CARD_FIELDS = ("payment_method", "cashier_ref", "coupon_codes", "attributes")
_LINE_NET = r'"line_net_minor":(-?[0-9]+)'


def judge(frame: pl.DataFrame, entity: str, verdict: Verdict) -> None:
    """Refuse the upserts that break a condition of their entity.

    Args:
        frame: typed received columns with ``op``; rows that were refused already may be anything.
        entity: its name; one without conditions passes.
        verdict: of these rows.
    """
    if entity not in CONDITIONS or not frame.height:
        return
    said = pl.col("op") == "upsert"
    broken = list(CONDITIONS[entity](frame))
    if not broken:
        return
    masks = frame.select((said & rule).fill_null(False).alias(reason) for rule, reason in broken)
    for _, reason in broken:
        verdict.refuse(masks[reason], reason)


def _customer_events(frame: pl.DataFrame) -> Iterator[Broken]:
    if frame["customer_id"].null_count() and frame["flockr_vid"].null_count():
        yield _none_of("customer_id", "flockr_vid"), "missing_one_of:customer_id|flockr_vid"
    if frame["product_id"].null_count():
        about = pl.col("event_name").is_in(PRODUCT_EVENTS)
        nothing = pl.col("product_id").is_null() & (pl.col("products").is_null() | (pl.col("products") == "[]"))
        yield about & nothing, "missing_one_of:product_id|products"


def _transactions(frame: pl.DataFrame) -> Iterator[Broken]:
    yield (pl.col("channel") == "store") & pl.col("outlet_id").is_null(), "missing_with:outlet_id"
    follows = pl.col("type").is_in(FOLLOWING)
    yield follows & pl.col("original_transaction_id").is_null(), "missing_with:original_transaction_id"
    for name in ("gross_minor", "net_minor"):
        yield (pl.col("type") == "return") & (pl.col(name) > 0), f"wrong_sign:{name}"
    yield from _amounts(frame)
    for name in _CARD_FIELDS:
        if frame[name].null_count() < frame.height:
            yield _card_number(frame[name]), f"card_data:{name}"


def _amounts(frame: pl.DataFrame) -> Iterator[Broken]:
    """The header adds up in itself, and the lines to the header.

    Without ``tax_inclusive`` either reading of the tax is right. Lines add up to the goods or, where shipping and tax
    are lines too, to the whole.
    """
    zero = {name: pl.col(name).fill_null(0) for name in ("discount_minor", "shipping_minor", "tax_minor")}
    goods = pl.col("gross_minor") - zero["discount_minor"]
    inclusive = pl.col("net_minor") == goods + zero["shipping_minor"]
    exclusive = pl.col("net_minor") == goods + zero["shipping_minor"] + zero["tax_minor"]
    taxed = pl.col("tax_inclusive")
    right = pl.when(taxed).then(inclusive).when(~taxed).then(exclusive).otherwise(inclusive | exclusive)
    yield ~right, "amounts_disagree:net_minor"
    nets = frame["lines"].str.extract_all(_LINE_NET).rename("net")
    sums = frame.select(
        pl.lit(nets).list.eval(pl.element().str.slice(17).cast(pl.Int64, strict=False)).list.sum().alias("sum"),
        pl.lit(nets).list.len().cast(pl.Int64).alias("lines"),
    )
    near = [(pl.lit(sums["sum"]) - whole).abs() <= pl.lit(sums["lines"]) for whole in (goods, pl.col("net_minor"))]
    # A void may repeat the lines that it takes back or the amounts that remain, which is nothing.
    yield (pl.col("type") != "void") & ~(near[0] | near[1]), "amounts_disagree:lines"


def _stock_levels(frame: pl.DataFrame) -> Iterator[Broken]:
    if frame["outlet_id"].null_count():
        yield _none_of("outlet_id", "group_id"), "missing_one_of:outlet_id|group_id"


def _opt_outs(frame: pl.DataFrame) -> Iterator[Broken]:
    if frame["customer_id"].null_count():
        blank = pl.col("contact").str.strip_chars().fill_null("") == ""
        yield pl.col("customer_id").is_null() & blank, "missing_one_of:customer_id|contact"


def _none_of(*names: str) -> pl.Expr:
    return pl.all_horizontal(pl.col(name).is_null() for name in names)


def _card_number(texts: pl.Series) -> pl.Expr:
    """Whether the text holds 13 to 19 digits with the first digit of a card scheme and a right check digit."""
    found = texts.str.extract_all(_DIGITS)
    hits = (found.list.len() > 0).fill_null(False)
    if not hits.any():
        return pl.lit(False)
    rows = hits.arg_true()
    cards = [any(is_card(text) for text in texts_of) for texts_of in found.gather(rows)]
    return pl.lit(pl.Series([False]).new_from_index(0, len(texts)).scatter(rows, cards))


def is_card(text: str) -> bool:
    """Whether digits, with spaces or hyphens between them, can be a payment card number (ISO/IEC 7812)."""
    digits = [int(char) for char in text if char.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return digits[0] in (2, 3, 4, 5, 6) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


CONDITIONS: dict[str, Callable[[pl.DataFrame], Iterator[Broken]]] = {
    "customer_events": _customer_events,
    "transactions": _transactions,
    "stock_levels": _stock_levels,
    "opt_outs": _opt_outs,
}
