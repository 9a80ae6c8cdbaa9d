"""Erasing people: what the vault and landing still hold of a customer whose record says ``erased``.

An erasure is a record like any other, so that it lands, orders and replays as one; this removes what it is about. It
runs before the batch that says so is committed, and for every batch after it, so that an old file sent again does not
bring anybody back. Everything is found again from what is left: a killed run is finished by running it again.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.config import Tenant
from pipelines.landing import contacts, layout, leftovers, locks, store, vault
from pipelines.landing.mentions import Mentions, as_lines, mentions, without_mentions
from pipelines.landing.personal import normalised_email, normalised_phone
from pipelines.landing.store import Receipt
from pipelines.storage.durable import replacing, write_bytes
from schemas.entities import ENTITIES
from schemas.entities.envelope import Entity

ERASED = "erased"
#: What stays of a version of an erased customer: that there was one, when, and who it was merged into.
_KEPT = ("external_id", "updated_at", "status", "merged_into")


@dataclass(frozen=True)
class Landed:
    """Where the versions of a batch are: the entity, the batch, and its file name as received."""

    entity: str
    batch_id: str
    file: str


def audit_file(tenant: Tenant) -> Path:
    """One JSON object a line: when, which customers, what was removed; nothing that identifies a person."""
    return tenant.vault / "erasures.ndjson"


def erased_customers(tenant: Tenant, more: Sequence[Path] = ()) -> pl.DataFrame:
    """Customers whose record says that they were erased: external_id, erased_at (up to when all is removed).

    Args:
        tenant: whose.
        more: split files that are not committed yet.
    """
    said = [store.scan(tenant, "customers"), *(layout.scan_split(path, ENTITIES["customers"]) for path in more)]
    parts = [part.filter(pl.col("status") == ERASED).select("external_id", "order_at") for part in said]
    return pl.concat(parts).group_by("external_id").agg(pl.col("order_at").max().alias("erased_at")).collect()


@contextmanager
def settled(tenant: Tenant, draft: Receipt) -> Iterator[None]:
    """Remove erased people from a batch that is about to be committed, and from all others if it erases somebody.

    The caller holds the lock of the entity, has written everything of the batch but its receipt, and commits it inside:
    until then no other batch lands that would not know of the erasure.
    """
    if draft.entity not in ("customers", "opt_outs"):
        yield
        return
    own = Landed(draft.entity, draft.batch_id, draft.file)
    says = _said(tenant, own).filter("says").collect()["external_id"].unique()
    with locks.every_other(tenant) if says.len() else nullcontext():
        if says.len():
            people = erased_customers(tenant, [_split(tenant, own)]).filter(_among(says))
            _record(tenant, draft, people, purge(tenant, people, [own, *_committed(tenant)]))
            leftovers.remove(tenant, but=own.batch_id)
        _settle_again(tenant, draft, own, says)
        yield


def _settle_again(tenant: Tenant, draft: Receipt, own: Landed, says: pl.Series) -> None:
    """Remove who was erased before from what the batch says of the time before."""
    erased = erased_customers(tenant, [_split(tenant, own)] if own.entity == "customers" else [])
    touched = _said(tenant, own).join(erased.lazy(), on="external_id")
    before = touched.filter((pl.col("order_at") <= pl.col("erased_at")) & ~_among(says))
    again = before.collect()["external_id"].unique()
    if again.len():
        people = erased.filter(_among(again))
        _record(tenant, draft, people, purge(tenant, people, [own]))


def _split(tenant: Tenant, batch: Landed) -> Path:
    return layout.split_file(tenant, batch.entity, batch.batch_id)


def _among(ids: pl.Series) -> pl.Expr:
    return pl.col("external_id").is_in(ids.implode())


def _said(tenant: Tenant, batch: Landed) -> pl.LazyFrame:
    """Of which customer each row of a batch is, as of when, and whether it says that the customer was erased."""
    customers = batch.entity == "customers"
    return layout.scan_split(_split(tenant, batch), ENTITIES[batch.entity]).select(
        pl.col("external_id" if customers else "customer_id").alias("external_id"),
        "order_at",
        (pl.col("status") == ERASED if customers else pl.lit(False)).fill_null(False).alias("says"),
    )


def _committed(tenant: Tenant) -> list[Landed]:
    return [Landed(name, r.batch_id, r.file) for name in ENTITIES for r in store.committed(tenant, name)]


def _record(tenant: Tenant, draft: Receipt, people: pl.DataFrame, removed: Counter[str]) -> None:
    entry = {
        "at": draft.received_at.isoformat(),
        "batch_id": draft.batch_id,
        "source": draft.source,
        "customers": people["external_id"].sort().to_list(),
        "removed": {name: removed[name] for name in COUNTS},
    }
    append_audit(tenant, entry)


def append_audit(tenant: Tenant, entry: Mapping[str, object]) -> None:
    """Add a line to the audit file, whole and durably."""
    file = audit_file(tenant)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Opt-outs of erased people land beside customers, and either may add a line.
    with locks.held(file.with_name(".erasures.lock")):
        before = file.read_bytes() if file.exists() else b""
        write_bytes(file, before + json.dumps(entry, sort_keys=True).encode() + b"\n")


def removed_by(tenant: Tenant, batch_id: str) -> dict[str, int]:
    """What was removed when a batch landed, by name, from the audit file."""
    lines = audit_file(tenant).read_bytes().splitlines() if audit_file(tenant).exists() else []
    entries = [json.loads(line) for line in lines]
    found = [entry["removed"] for entry in entries if entry["batch_id"] == batch_id and "removed" in entry]
    return {name: sum(each[name] for each in found) for name in COUNTS}


#: What is counted when people are removed.
COUNTS = ("personal_records", "landed_versions", "opt_outs", "refused_rows", "raw_files_rewritten", "raw_files_removed")


def purge(tenant: Tenant, people: pl.DataFrame, batches: Sequence[Landed]) -> Counter[str]:
    """Remove people from batches: received bytes, refused rows, opt-outs, versions, and last their personal fields.

    The personal fields say what to look for in the rest, so that they go last.

    Args:
        tenant: whose.
        people: ``erased_customers``.
        batches: where to look.
    """
    removed: Counter[str] = Counter()
    wanted = _known_of(
        tenant, people, [batch for batch in [*batches, *_committed(tenant)] if batch.entity == "customers"]
    )
    for batch in batches:
        removed += without_mentions(tenant, batch.entity, batch.batch_id, batch.file, wanted)
    for batch in batches:
        if batch.entity == "opt_outs":
            removed["opt_outs"] += _purge_opt_outs(tenant, batch, people, wanted)
        elif batch.entity != "customers":
            removed["personal_records"] += _purge_masked(tenant, batch, wanted)
    for batch in batches:
        if batch.entity == "customers":
            removed["landed_versions"] += _purge_versions(tenant, batch, people)
            removed["personal_records"] += _purge_personal(tenant, batch, people)
    return removed


def _known_of(tenant: Tenant, people: pl.DataFrame, batches: Sequence[Landed]) -> Mentions:
    """Everything that identifies the people, from their sealed personal fields."""
    found = [
        piece.join(people, on="external_id", how="semi")
        for batch in dict.fromkeys(batches)
        for piece in _pieces(tenant, batch)
    ]
    key = vault.derived_key(tenant, "contact")
    records = pl.concat(found) if found else pl.DataFrame(schema={"email": pl.String, "phone": pl.String})
    emails = {normalised_email(text) for text in records["email"].drop_nulls()}
    region = contacts.country_of(tenant)
    phones = {normalised_phone(text, region) for text in records["phone"].drop_nulls()}
    hashes = {vault.contact_hash(key, contact) for contact in emails | phones}
    return mentions(set(people["external_id"]), emails, phones, records, hashes)


def _pieces(tenant: Tenant, batch: Landed) -> list[pl.DataFrame]:
    path = layout.sealed_personal(tenant, batch.entity, batch.batch_id)
    return [pl.read_ipc(io.BytesIO(piece)) for piece in vault.unseal(tenant, path)] if path.exists() else []


def _in_scope(people: pl.DataFrame, column: str = "external_id") -> pl.Expr:
    """Whether a version is of one of the people and not after the erasure."""
    ends = dict(people.select("external_id", "erased_at").iter_rows())
    until = pl.col(column).replace_strict(ends, default=None, return_dtype=pl.Datetime("us", "UTC"))
    return (pl.col("order_at") <= until).fill_null(False)


def _purge_personal(tenant: Tenant, batch: Landed, people: pl.DataFrame) -> int:
    pieces = _pieces(tenant, batch)
    kept = [piece.filter(~_in_scope(people)) for piece in pieces]
    return _reseal(tenant, batch, pieces, kept)


def _purge_masked(tenant: Tenant, batch: Landed, known: Mentions) -> int:
    """Free texts of other entities whose contact details were masked: what they said goes, the masked text stays."""
    pieces = _pieces(tenant, batch)
    kept = [piece.filter([not known.within(line, personal=False) for line in as_lines(piece)]) for piece in pieces]
    return _reseal(tenant, batch, pieces, kept)


def _reseal(tenant: Tenant, batch: Landed, pieces: list[pl.DataFrame], kept: list[pl.DataFrame]) -> int:
    gone = sum(piece.height for piece in pieces) - sum(piece.height for piece in kept)
    if gone:
        path = layout.sealed_personal(tenant, batch.entity, batch.batch_id)
        left = [piece for piece in kept if piece.height]
        if left:
            vault.seal(tenant, path, [_ipc(piece) for piece in left])
        else:
            path.unlink()
    return gone


def _ipc(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


def _purge_versions(tenant: Tenant, batch: Landed, people: pl.DataFrame) -> int:
    path = _split(tenant, batch)
    rows = layout.scan_split(path, ENTITIES[batch.entity]).collect()
    scope = rows.select(_in_scope(people)).to_series()
    texts = [name for name in rows.columns if name.endswith("__text") and name != "updated_at__text"]
    emptied = [c.name for c in ENTITIES["customers"].stored if c.name not in _KEPT and c.name in rows.columns]
    cleared = rows.with_columns(
        pl.when(~scope).then(pl.col(name)).alias(name) for name in (*emptied, *texts)
    ).with_columns(pl.when(~scope | (pl.col("status") == ERASED)).then("status").alias("status"))
    return _rewrite(path, rows, cleared, ENTITIES["customers"])


def _purge_opt_outs(tenant: Tenant, batch: Landed, people: pl.DataFrame, known: Mentions) -> int:
    """Opt-outs stay and keep counting, for the customer instead of the contact."""
    path = _split(tenant, batch)
    rows = layout.scan_split(path, ENTITIES[batch.entity]).collect()
    named = _in_scope(people, "customer_id") & pl.col("contact_hash").is_not_null()
    by_contact = pl.col("contact_hash").is_in(sorted(known.hashes)).fill_null(False)
    scope = rows.select(named | by_contact).to_series()
    lines = rows.filter(scope)["line_no"]
    customer = people["external_id"].min()
    cleared = rows.with_columns(
        pl.when(scope).then(pl.coalesce("customer_id", pl.lit(customer))).otherwise("customer_id").alias("customer_id"),
        pl.when(~scope).then("contact_hash").alias("contact_hash"),
    )
    changed = _rewrite(path, rows, cleared, ENTITIES["opt_outs"])
    pieces = _pieces(tenant, batch)
    _reseal(tenant, batch, pieces, [piece.filter(~pl.col("line_no").is_in(lines.implode())) for piece in pieces])
    return changed


def _rewrite(path: Path, before: pl.DataFrame, after: pl.DataFrame, entity: Entity) -> int:
    """Put the changed rows in place; how many there are."""
    same = pl.all_horizontal(pl.lit(before[name]).eq_missing(pl.lit(after[name])) for name in before.columns)
    changed = int(before.select((~same).sum()).item()) if before.height else 0
    if changed:
        with replacing(path) as temporary:
            after.write_parquet(temporary, compression="snappy", row_group_size=layout.ROW_GROUP_ROWS)
    return changed


def erased_before(tenant: Tenant, customers: Sequence[str]) -> datetime | None:
    """When all of these customers were erased, if nothing of them has come since; else None."""
    erased = erased_customers(tenant).filter(pl.col("external_id").is_in(list(customers)))
    if erased["external_id"].n_unique() != len(set(customers)):
        return None
    newest = store.scan(tenant, "customers").filter(pl.col("external_id").is_in(list(customers)))
    later = newest.join(erased.lazy(), on="external_id").filter(pl.col("order_at") > pl.col("erased_at")).collect()
    return None if later.height else erased["erased_at"].max()  # type: ignore[return-value]
