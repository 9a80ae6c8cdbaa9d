"""S3 by the rules of AWS: roles with an external id, short sessions, owners and checksums on every request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import UsageError
from pipelines.storage.objects import ObjectStore, StoreError, open_store
from pipelines.storage.objects.aws import account_of
from pipelines.storage.objects.policies import bucket_policy
from tests.storage.strict_aws import EXTERNAL_ID, ROLE, strict_aws


def opened(**how: Any) -> ObjectStore:
    settings = {"role_arn": ROLE, "external_id": EXTERNAL_ID, "policy": bucket_policy("bucket", "m"), **how}
    return open_store("s3://bucket/m", **settings)


def test_every_request_names_the_owner_and_carries_a_checksum(tmp_path: Path) -> None:
    file = tmp_path / "part.parquet"
    file.write_bytes(b"x" * 100_000)
    with strict_aws() as aws:
        store = opened(session="murmuration-shop")
        store.put("a", b"1")
        store.put("b", file)
        assert store.put_if_absent("m", b"manifest")
        assert not store.put_if_absent("m", b"another")
        store.copy("b", "c")
        assert (store.get("a"), store.get("c"), store.exists("none")) == (b"1", file.read_bytes(), False)
        assert store.list() == ["a", "b", "c", "m"]
        assert store.stored_sha256("c") == store.stored_sha256("b")
        store.delete("a")
        assert sorted(aws.objects) == ["m/b", "m/c", "m/m"]
        assert set(aws.used) == {"session-0"}
        [asked] = aws.asked
    assert (asked["DurationSeconds"], asked["ExternalId"], asked["RoleSessionName"]) == (
        "900",
        EXTERNAL_ID,
        "murmuration-shop",
    )
    assert json.loads(asked["Policy"]) == bucket_policy("bucket", "m")


def test_a_session_is_renewed_before_it_ends() -> None:
    with strict_aws(lasts=60) as aws:
        store = opened()
        store.put("a", b"1")
        aws.ended.update(aws.sessions)
        store.put("b", b"2")
        assert aws.used[-1] not in aws.ended
        assert len(aws.sessions) > 1


def test_a_session_of_a_quarter_of_an_hour_is_used_again() -> None:
    with strict_aws() as aws:
        store = opened()
        for n in range(5):
            store.put(str(n), b"")
        assert len(aws.sessions) == 1


def test_a_bucket_of_somebody_else_is_not_written_to() -> None:
    with strict_aws() as aws, pytest.raises(StoreError, match="AccessDenied"):
        opened(owner="999999999999").put("a", b"secret rows")
    assert not aws.objects


def test_a_role_that_is_refused_is_said_in_one_line() -> None:
    with strict_aws(), pytest.raises(StoreError, match="cannot be assumed") as failed:
        opened(external_id="wrong")
    assert "wrong" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_lost_answer_is_known_as_ones_own() -> None:
    with strict_aws(lost=1):
        store = opened()
        assert store.put_if_absent("m", b"mine")
        assert not store.put_if_absent("m", b"other")


@pytest.mark.parametrize("arn", ["exports", "arn:aws:iam::1:user/x", "arn:aws:iam::abc:role/x"])
def test_what_is_no_role(arn: str) -> None:
    with pytest.raises(UsageError, match="role_arn"):
        account_of(arn)
