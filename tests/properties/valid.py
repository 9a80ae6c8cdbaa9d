"""Completes drawn records, so that they satisfy what the door asks: of an upsert everything, of a patch whole lines."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]


def valid(entity: str, record: Record) -> Record:
    """The record with what depends on its other fields: places, subjects, and amounts that add up."""
    if record.get("op", "upsert") != "upsert":
        lines = record.get("lines")
        return {**record, "lines": _lines(lines, 1)} if lines else record
    if entity == "transactions":
        return _transaction(record)
    if entity == "customer_events":
        return _event(record)
    if entity == "opt_outs":
        return {"customer_id": "c1", **record}
    if entity == "stock_levels" and "group_id" not in record:
        return {"outlet_id": "o1", **record}
    return record


def _event(record: Record) -> Record:
    found = dict(record)
    if "customer_id" not in found and "flockr_vid" not in found:
        found["flockr_vid"] = "v1"
    if found["event_name"].startswith("Product ") and not found.get("products"):
        found.setdefault("product_id", "p1")
    return found


def _transaction(record: Record) -> Record:
    """Lines in full, amounts from the lines, negative where goods come back."""
    sign = -1 if record["type"] == "return" else 1
    found = {**record, "lines": _lines(record["lines"], sign)}
    found["gross_minor"] = sum(line["line_gross_minor"] for line in found["lines"])
    found["net_minor"] = found["gross_minor"] - found.get("discount_minor", 0)
    found["lines"][0]["line_net_minor"] -= found.get("discount_minor", 0)
    if record["type"] in ("return", "exchange", "void"):
        found.setdefault("original_transaction_id", "t1")
    if record["channel"] == "store":
        found.setdefault("outlet_id", "o1")
    return found


def _lines(lines: list[Record], sign: int) -> list[Record]:
    return [_line(number, line, sign) for number, line in enumerate(lines, start=1)]


def _line(number: int, line: Record, sign: int) -> Record:
    amount = sign * abs(line["line_net_minor"])
    quantity = line["quantity"] if sign > 0 else f"-{line['quantity']}"
    whole = {"line_no": number, "unit_price_minor": abs(amount), "line_gross_minor": amount}
    return {**whole, **line, "quantity": quantity, "line_net_minor": amount}
