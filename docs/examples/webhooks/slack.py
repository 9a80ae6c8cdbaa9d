"""Tell a Slack channel who left a valuable cart behind. Python's standard library alone.

    export WEBHOOK_SECRET=whsec_... SLACK_URL=https://hooks.slack.com/services/... CUSTOMERS=customers.csv
    ADMIN_URL=https://shop.example/admin PORT=8000 python slack.py

An event names a visitor and, where linked, a customer, and no contact detail. Who that is stands in a table of your
own: ``CUSTOMERS`` has the columns ``external_id`` and ``name``. Slack is told once per event; what it does not take is
answered with 502, so that the event comes again.
"""

import csv
import json
import os
import sqlite3
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

from pipelines.delivery.receiver import SignatureError, construct_event  # one file without dependencies: copy it

TITLES = {
    "cohort.entered": "A valuable cart was left behind",
    "cohort.entry_retracted": "Never mind: this cart was not left behind",
}


def customers(path: str) -> dict[str, str]:
    """Names by customer id, from the receiver's own table."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return {row["external_id"]: row["name"] for row in csv.DictReader(file)}


def message(event: dict, names: dict[str, str], admin_url: str) -> dict:
    """The event as a Block Kit message; ``text`` is what a notification shows."""
    data, title = event["data"], TITLES[event["type"]]
    customer = data.get("external_id")
    who = names.get(customer, customer) if customer else "somebody who has not signed in"
    value = f"{data['cart_total_value']} {data['currency']}" if "cart_total_value" in data else "unknown"
    fields = {
        "Customer": who,
        "Cart": value,
        "Products": ", ".join(data.get("cart_product_ids", [])[:10]) or "-",
        "Strongest signal": data.get("top_signal", "-"),
    }
    place = f"customers/{quote(customer, safe='')}" if customer else f"visitors/{quote(data['flockr_vid'], safe='')}"
    button = {"type": "button", "text": plain("Open in the admin"), "url": f"{admin_url}/{place}"}
    return {
        "text": f"{title}: {escaped(who)}, {value}",
        "blocks": [
            {"type": "header", "text": plain(title)},
            {"type": "section", "fields": [marked(f"*{name}*\n{escaped(text)}") for name, text in fields.items()]},
            {"type": "actions", "elements": [button]},
            {"type": "context", "elements": [marked(f"{escaped(event['time'])} · event {escaped(event['id'])}")]},
        ],
    }


def plain(text: str) -> dict:
    """Text without formatting."""
    return {"type": "plain_text", "text": text[:150]}


def marked(text: str) -> dict:
    """Text in Slack's markup."""
    return {"type": "mrkdwn", "text": text[:2000]}


def escaped(text: str) -> str:
    """Text in which nothing is markup: a product id must not mention the whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def post(url: str, body: dict) -> None:
    """Post to an incoming webhook of Slack; raises where it does not answer 200."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).close()


class Bridge(BaseHTTPRequestHandler):
    """Answers every POST of Murmuration."""

    def do_POST(self) -> None:
        payload = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            event = construct_event(os.environ["WEBHOOK_SECRET"], self.headers.get("X-Flock-Signature"), payload)
        except SignatureError as error:
            return self.answer(error.status, {"error": str(error)})
        try:
            # One transaction: an event counts as told only if Slack took it.
            with TOLD:
                new = TOLD.execute("INSERT OR IGNORE INTO told VALUES (?)", [event["id"]]).rowcount
                if new and event["type"] in TITLES:
                    post(os.environ["SLACK_URL"], message(event, NAMES, os.environ["ADMIN_URL"]))
        except urllib.error.URLError:
            return self.answer(502, {"error": "Slack did not take it"})
        return self.answer(200, {"received": True})

    def answer(self, status: int, body: dict) -> None:
        """Send a JSON answer."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    NAMES = customers(os.environ["CUSTOMERS"])
    TOLD = sqlite3.connect(os.environ.get("TOLD", "told.db"))
    TOLD.execute("CREATE TABLE IF NOT EXISTS told (id TEXT PRIMARY KEY)")
    HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Bridge).serve_forever()
