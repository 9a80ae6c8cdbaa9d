"""Files in which marked people stand wherever a sender may put them: in their fields, and everywhere else."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from tests.marked import PEOPLE, Person

AT = "2025-10-25T12:00:00Z"
File = tuple[str, str, bytes]


def files() -> Iterator[File]:
    """(entity, file name, bytes), of every format, good rows beside every kind of bad one."""
    yield "customers", "customers.ndjson", _lines([*_customers(), *_broken_customers()])
    yield "customers", "customers.json", json.dumps([*_customers(5), {"external_id": PEOPLE[0].email}]).encode()
    yield "customers", "cut.json", json.dumps(_customers(8)).encode()[:-90]
    yield "customers", "customers.ndjson.gz", gzip.compress(_lines(_customers(9)), mtime=0)
    yield "customers", "customers.ndjson.zst", pa.Codec("zstd").compress(_lines(_customers(15)), asbytes=True)
    yield "customers", f"{PEOPLE[1].email}.csv", _csv(_customers(10))
    yield "customers", f"for {PEOPLE[2].phone}.ndjson", _lines(_customers(11))
    yield "customers", "07700900703.ndjson", _lines(_customers(12))
    yield "customers", "no_header.csv", _frame(_customers(13)).write_csv(include_header=False).encode()
    yield "customers", "customers.parquet", _parquet(_customers(14))
    yield "customers", "utf16.ndjson", _lines(_customers()).decode().encode("utf-16")
    yield "customers", "damaged.parquet", b"PAR1" + _lines(_customers())
    yield "customers", "cr.csv", _csv(_customers()).replace(b"\n", b"\r")
    yield "customers", "broken.ndjson.gz", gzip.compress(_lines(_customers()))[:-9]
    yield "opt_outs", "opt_outs.ndjson", _lines([_opt_out(each, number) for number, each in enumerate(PEOPLE)])
    yield "customer_events", "events.ndjson", _lines([*_events(), *_broken_events()])
    yield "customer_events", "events.csv", _csv(_events("csv"))
    yield "campaigns", "campaigns.ndjson", _lines(_campaigns())
    yield "links", "links.ndjson", _lines(_links())
    yield "products", "products.ndjson", _lines(_products())
    yield "outlets", "outlets.ndjson", _lines(_outlets())
    yield "transactions", "transactions.ndjson", _lines(_transactions())
    yield "referral_events", "referrals.ndjson", _lines(_referrals())


def _customers(number: int = 0) -> list[dict[str, Any]]:
    return [
        {"external_id": f"c{number}-{place}", "updated_at": AT, "status": "active", "tags": each.texts, **each.record}
        for place, each in enumerate(PEOPLE[number : number + 3])
    ]


def _broken_customers() -> list[dict[str, Any] | str]:
    """Rows with a personal value where another kind of value belongs, and rows that are none."""
    one = PEOPLE[3]
    good = {"external_id": "c-x", "updated_at": AT, **one.record}
    wrong = ("updated_at", "op", "status", "tags", "attributes", "schema_version", "timezone", "consents", "birth_date")
    rows: list[dict[str, Any] | str] = [{**good, "external_id": f"w-{name}", name: one.email} for name in wrong]
    rows += [{**good, "external_id": each} for each in (one.email, one.phone, f"id:{one.email}")]
    rows += [
        {**good, "external_id": "unknown", "nickname": one.first_name, one.email: 1, one.phone: [one.email]},
        {
            **good,
            "external_id": "refused",
            "updated_at": "never",
            one.email: 1,
            one.phone: 2,
            f"_{one.phone[-6:]}0077": 3,
        },
        {**good, "external_id": "nested", "attributes": {"deep": {one.email: one.phone}}},
        {**good, "external_id": "keys", "attributes": {one.email: one.phone, "Surname": one.last_name, one.phone: 1}},
        {**good, "external_id": "address", "address": one.email},
        {**good, "external_id": "patch", "op": "patch", "email": None, "tags": [one.phone]},
        json.dumps(good)[:-20],
        json.dumps(good).replace('"email"', '"phone"'),
        f'"{one.email}"',
        f'[["{one.phone}"]]',
        one.email,
        json.dumps({**good, "external_id": "nul"}) + "\\u0000",
    ]
    return rows


def _opt_out(each: Person, number: int) -> dict[str, Any]:
    contact = each.email if number % 2 else each.phone
    said = {"channel": "email", "scope": "all", "action": "opt_out", "reason": "agent", "source": f"said {each.email}"}
    return {"external_id": f"u{number}", "occurred_at": AT, "contact": contact, **said}


def _events(kind: str = "e") -> list[dict[str, Any]]:
    """One event for each way of typing a contact detail, in each field that takes any text."""
    fields = ("query", "coupon", "url_path", "message_ref", "failure_code", "event_name")
    texts = [text for each in PEOPLE[4:6] for text in each.texts]
    rows = [
        _event(f"{kind}{place}", query=text, coupon=text, url_path=f"/p/{text}") for place, text in enumerate(texts)
    ]
    return rows + [_event(f"{kind}-{name}", **{name: f"x {PEOPLE[6].email}"}) for name in fields]


def _event(number: str, **changes: Any) -> dict[str, Any]:
    said = {"event_name": "Products Searched", "occurred_at": AT, "flockr_vid": "v-1", "customer_id": "c0-0"}
    return {"external_id": number, **said, **changes}


def _broken_events() -> list[dict[str, Any]]:
    one = PEOPLE[7]
    ids = ("external_id", "customer_id", "flockr_vid", "session_id", "cart_id", "order_id", "outlet_id", "link_id")
    wrong = ("occurred_at", "value_minor", "currency", "channel", "step", "products", "device_type", "message_id")
    rows = [_event(f"b-{name}", **{name: one.email}) for name in (*ids, *wrong)]
    line = {"product_id": "p", "quantity": one.phone, "variant": one.email}
    return [*rows, _event("b-line", products=[line]), _event("b-id", products=[{"product_id": one.phone}])]


def _campaigns() -> list[dict[str, Any]]:
    one = PEOPLE[8]
    said = {"updated_at": AT, "type": "message", "channel": "email", "status": "live", "external_ref": one.email}
    line = {"product_id": "p1", "role": "promoted", "offer_type": "percent", "offer_value": one.email}
    return [{"external_id": "k1", "name": f"Happy birthday {one.email}", "products": [line], **said}]


def _links() -> list[dict[str, Any]]:
    one = PEOPLE[9]
    urls = [f"https://shop.example.com/?{text}" for text in one.texts]
    said = {"updated_at": AT, "campaign_id": "k1", "label": one.texts[4], "short_url": f"s.example/{one.email}"}
    return [{"external_id": f"l{place}", "destination_url": url, **said} for place, url in enumerate(urls)]


def _products() -> list[dict[str, Any]]:
    one = PEOPLE[10]
    said = {"updated_at": AT, "category_path": "home", "status": "active", "price_minor": 900, "currency": "GBP"}
    return [
        {
            "external_id": "p1",
            "name": f"Pot, ask {one.email}",
            "brand": one.texts[5],
            "url": f"https://{one.email}/",
            "tags": one.texts,
            "attributes": {"maker": one.phone},
            **said,
        }
    ]


def _outlets() -> list[dict[str, Any]]:
    one = PEOPLE[11]
    said = {"updated_at": AT, "kind": "store", "timezone": "Europe/London", "country": "GB", "status": "open"}
    address = {"line1": f"c/o {one.email}", "city": one.texts[4]}
    return [{"external_id": "o1", "name": f"Mill Lane {one.email}", "phone": one.phone, "address": address, **said}]


def _transactions() -> list[dict[str, Any]]:
    one = PEOPLE[12]
    line = {"line_no": 1, "product_id": "p1", "quantity": "1", "unit_price_minor": 900}
    line |= {"line_gross_minor": 900, "line_net_minor": 900, "brand": one.email, "serial": f"+{one.phone}"}
    said = {"type": "sale", "status": "completed", "channel": "web", "currency": "GBP", "updated_at": AT}
    money = {"occurred_at": AT, "gross_minor": 900, "net_minor": 900, "customer_id": "c0-0"}
    words = {"cashier_ref": one.email, "coupon_codes": [one.email], "payment_method": one.texts[4]}
    return [
        {"external_id": "t1", "lines": [line], **said, **money, **words},
        {"external_id": "t2", "lines": [{**line, "product_id": one.email}], **said, **money},
        {"external_id": "t3", "lines": one.email, **said, **money},
    ]


def _referrals() -> list[dict[str, Any]]:
    one = PEOPLE[13]
    data = {"referrer": {"id": "c0-0", "email": one.email}, "invitee": {"id": one.email, "name": one.last_name}}
    return [
        {"name": "referral.accepted", "entity": "referral", "entityId": "r1", "timestamp": 1761393600, "data": data},
        {"name": f"asked {one.email}", "entity": one.email, "entityId": "r2", "campaignId": "k1", "timestamp": AT},
    ]


def _lines(rows: Sequence[dict[str, Any] | str]) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


def _frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    cells = [{k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()} for row in rows]
    return pl.DataFrame(cells, infer_schema_length=None)


def _csv(rows: Sequence[dict[str, Any]]) -> bytes:
    return _frame(rows).write_csv().encode() + PEOPLE[14].email.encode() + b",too,few\n"


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    _frame(rows).with_columns(pl.lit(1).alias(PEOPLE[14].email)).write_parquet(buffer)
    return buffer.getvalue()
