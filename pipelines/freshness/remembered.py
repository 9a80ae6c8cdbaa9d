"""Answers by day that are kept while what they were made from is the same. Deleting them costs time only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import date

from pipelines.config import Tenant
from pipelines.storage.durable import write_bytes

Texts = dict[date, str]


def remembered(tenant: Tenant, name: str, made_from: Iterable[object], make: Callable[[], Texts]) -> Texts:
    """``make()``, or what it gave when ``made_from`` was the same; one answer is kept for each name."""
    key = hashlib.sha256("\x1f".join(str(each) for each in made_from).encode()).hexdigest()
    file = tenant.state / "freshness" / f"{name}.json"
    kept = json.loads(file.read_text()) if file.is_file() else {}
    if kept.get("key") == key:
        return {date.fromisoformat(day): text for day, text in kept["days"].items()}
    found = make()
    days = {day.isoformat(): text for day, text in found.items()}
    write_bytes(file, json.dumps({"key": key, "days": days}).encode(), sync=False)
    return found
