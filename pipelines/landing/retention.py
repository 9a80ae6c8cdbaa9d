"""Received bytes and refused rows leave the vault when their time is over; what was split off for good stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipelines.config import Tenant
from pipelines.landing import layout, leftovers, locks, quarantine, store
from schemas.entities import ENTITIES

#: No ingest takes so long, so that a file without a receipt that is older was left by one that was killed.
_UNFINISHED = timedelta(days=1)


def purge(tenant: Tenant, now: datetime) -> dict[str, int]:
    """Remove what is older than ``raw_retention_days``; done again, it finds nothing. No erasure runs meanwhile.

    Refused rows that still wait for their fix stay, however old, since nothing else knows them.

    Returns:
        raw: files of received bytes removed; quarantine: files of refused rows removed; bytes: freed by both;
        waiting: files of refused rows that are old enough and stay; abandoned: files removed that belong to no batch,
        since the run that wrote them was killed more than a day ago and what it read was not sent again.
    """
    # An erasure writes anew what this removes.
    with locks.everything(tenant):
        return _purge(tenant, now)


def _purge(tenant: Tenant, now: datetime) -> dict[str, int]:
    limit = now - timedelta(days=tenant.config.raw_retention_days)
    done = {"raw": 0, "quarantine": 0, "bytes": 0, "waiting": 0, "abandoned": 0}
    kept, old = set(), set()
    for entity in ENTITIES:
        waiting = set(quarantine.waiting(tenant, entity)["batch_id"])
        for receipt in store.committed(tenant, entity):
            if receipt.received_at > limit:
                kept.add(receipt.batch_id)
                continue
            old.add(receipt.batch_id)
            sealed = layout.sealed_quarantine(tenant, entity, receipt.batch_id)
            if receipt.batch_id in waiting:
                done["waiting"] += sealed.exists()
            elif sealed.exists():
                done["quarantine"] += 1
                done["bytes"] += sealed.stat().st_size
                sealed.unlink()
    # One file may have been sent as two entities; its bytes are kept once.
    for batch_id in sorted(old - kept):
        raw = layout.sealed_raw(tenant, batch_id)
        if raw.exists():
            done["raw"] += 1
            done["bytes"] += raw.stat().st_size
            raw.unlink()
    for left in list(leftovers.sealed(tenant)):
        if datetime.fromtimestamp(left.stat().st_mtime, UTC) < now - _UNFINISHED:
            done["abandoned"] += 1
            done["bytes"] += left.stat().st_size
            left.unlink()
    return done
