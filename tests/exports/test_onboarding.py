"""``export check`` and ``tenant aws-policy``: a bucket that is not safe is refused before the first row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cli.main import main
from tests.storage.strict_aws import EXTERNAL_ID, ROLE, strict_aws

WE = "arn:aws:iam::210987654321:role/murmuration"


def murmur(home: Path, capsys: pytest.CaptureFixture[str], *words: str, **s3: Any) -> tuple[int, str, str]:
    target = {"bucket": "bucket", "prefix": "m", "url": "s3://bucket", "role_arn": ROLE}
    target |= {"external_id_env": "SHOP_EXTERNAL_ID", **s3}
    settings = {"id": "shop", "timezone": "Europe/London", "exports": {"s3": target}}
    (home / "tenants" / "shop").mkdir(parents=True, exist_ok=True)
    (home / "tenants" / "shop" / "tenant.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(SystemExit) as left:
        main(["--home", str(home), "--tenants", str(home / "tenants"), *words, "--tenant", "shop"])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def check(home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, bool], str]:
    code, out, err = murmur(home, capsys, "export", "check", "--json")
    return code, {row["check"]: row["ok"] for row in json.loads(out)}, err


def test_a_role_with_its_external_id_is_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with strict_aws() as aws:
        code, answers, err = check(tmp_path, capsys)
    assert (code, err) == (0, "")
    assert len(answers) == 5
    assert all(answers.values())
    assert not aws.objects


@pytest.mark.parametrize(
    ("trust", "broken"),
    [
        ({"trusts": None}, "the role is refused without an external id"),
        ({"any_id": True}, "the role is refused with another external id"),
        ({"trusts": "somebody else's"}, "the role is assumed with the external id"),
    ],
)
def test_a_role_that_others_could_use_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trust: dict[str, Any], broken: str
) -> None:
    with strict_aws(**trust) as aws:
        code, answers, err = check(tmp_path, capsys)
    assert code == 1
    assert not answers[broken]
    assert "murmur tenant aws-policy" in err
    assert not aws.used, "nothing is written to a bucket that is not safe"


def test_a_store_without_preconditions_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with strict_aws(moody=True):
        code, answers, err = check(tmp_path, capsys)
    assert (code, answers["an object that is there is not created again"]) == (1, False)
    assert "preconditions" in err


def test_the_policies_are_the_least_and_name_the_external_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_EXTERNAL_ID", EXTERNAL_ID)
    code, out, _ = murmur(tmp_path, capsys, "tenant", "aws-policy", "--principal", WE)
    said = json.loads(out)
    assert code == 0
    [trust] = said["trust_policy"]["Statement"]
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}
    assert trust["Principal"] == {"AWS": WE}
    actions = {action for part in said["policy"]["Statement"] for action in [part["Action"]] if isinstance(action, str)}
    actions |= set(said["policy"]["Statement"][1]["Action"])
    assert actions == {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert [part["Resource"] for part in said["policy"]["Statement"]] == [
        "arn:aws:s3:::bucket",
        "arn:aws:s3:::bucket/m/*",
    ]


def test_a_role_without_an_external_id_is_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = murmur(tmp_path, capsys, "export", "check", external_id_env=None)
    assert code == 2
    assert "external_id_env" in err
