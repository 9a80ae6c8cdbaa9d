"""Whether a tenant's bucket is fit to publish to: checked against the store itself before the first export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from pipelines.config import Tenant
from pipelines.errors import MurmurError, UsageError
from pipelines.exports.target import export_store, external_id_of
from pipelines.storage.hashing import identifier
from pipelines.storage.objects import ObjectStore

#: What was asked, and whether the answer is right.
Answer = tuple[str, bool, str]

PROBE = "v1/_check/probe"
_WRONG = "not-the-external-id"


def check_target(tenant: Tenant, kind: Literal["s3", "gcs"]) -> list[Answer]:
    """Every check of a bucket, in order; none after one that what follows depends on.

    Returns:
        What must hold, whether it does, and what to do where it does not.

    Raises:
        UsageError: the tenant has no such export.
    """
    target = getattr(tenant.config.exports, kind)
    if target is None:
        raise UsageError(f"tenant {tenant.id} has no exports.{kind} in its tenant.yaml")
    answers = list(_role(tenant)) if kind == "s3" and target.role_arn else []
    if all(good for _, good, _ in answers):
        answers += _bucket(tenant, kind)
    return answers


def _role(tenant: Tenant) -> Iterator[Answer]:
    from pipelines.storage.objects.aws import Access, may_assume

    target = tenant.config.exports.s3
    assert target is not None  # noqa: S101
    access = Access(target.role_arn, external_id_of(tenant, target), session=f"murmuration-{tenant.id}"[:64])
    trust = f"give the role the trust policy of: murmur tenant aws-policy --tenant {tenant.id}"
    yield "the role is assumed with the external id", may_assume(access), trust
    open_to_all = may_assume(replace(access, external_id=None))
    yield (
        "the role is refused without an external id",
        not open_to_all,
        f"anybody who knows its name could have us write there; {trust}",
    )
    yield (
        "the role is refused with another external id",
        not may_assume(replace(access, external_id=_WRONG)),
        f"any external id opens it; {trust}",
    )


def _bucket(tenant: Tenant, kind: Literal["s3", "gcs"]) -> Iterator[Answer]:
    try:
        store = export_store(tenant, kind)
        assert store is not None  # noqa: S101
        yield from _probe(store, identifier(tenant.id, kind).encode())
    except MurmurError as error:
        yield "objects are written, read, listed and removed below the prefix", False, str(error)


def _probe(store: ObjectStore, data: bytes) -> Iterator[Answer]:
    store.delete(PROBE)
    store.put(PROBE, data)
    whole = store.get(PROBE) == data and PROBE in store.list("v1/_check/")
    taken = store.put_if_absent(PROBE, b"other")
    store.delete(PROBE)
    gone = not store.exists(PROBE)
    yield (
        "objects are written, read, listed and removed below the prefix",
        whole and gone,
        f"{store.url} did not give back what it was given",
    )
    yield (
        "an object that is there is not created again",
        not taken,
        "the store takes no notice of preconditions, so two runs could overwrite each other; use another store",
    )
