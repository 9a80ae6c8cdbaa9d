import pytest

from pipelines.config import Workspace
from pipelines.errors import UsageError


def write(workspace: Workspace, text: str) -> None:
    (workspace.tenants / "acme" / "tenant.yaml").write_text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: acme\ntimezone: Mars/Base\n", "timezone: Value error, 'Mars/Base' is not an IANA time zone"),
        ("id: acme\ntimezone: UTC\ncolour: red\n", "colour: Extra inputs are not permitted"),
        ("id: other\ntimezone: UTC\n", "id: is 'other' but the folder is 'acme'"),
        ("id: acme\n\ttimezone: UTC\n", "tenant.yaml:2: is not YAML"),
        ("id: acme\ntimezone: UTC\nexports:\n  promised_by: soon\n", "exports.promised_by: String should match"),
    ],
)
def test_a_wrong_file_is_named_with_the_path_inside_it(workspace, text, expected):
    write(workspace, text)
    with pytest.raises(UsageError, match=r"tenant\.yaml") as caught:
        workspace.tenant("acme")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value).strip()


def test_an_unknown_tenant_says_which_there_are_and_how_to_add_one(workspace):
    with pytest.raises(UsageError, match=r"tenants: acme.*murmur tenant add ghost"):
        workspace.tenant("ghost")
    with pytest.raises(UsageError, match="is not there"):
        workspace.tenant("../acme")


def test_buckets_are_local_until_a_url_is_given(workspace):
    tenant = workspace.tenant("acme")
    assert tenant.bucket_url("s3") == (workspace.home / "buckets/s3/acme-exports/murmuration").as_uri()
    write(workspace, "id: acme\ntimezone: UTC\nexports:\n  s3: {bucket: b, prefix: p/, url: 's3://b/'}\n")
    tenant = workspace.tenant("acme")
    assert tenant.bucket_url("s3") == "s3://b/p"
    assert tenant.bucket_url("gcs") is None


def test_environment_and_arguments(monkeypatch, tmp_path):
    monkeypatch.setenv("MURMUR_HOME", str(tmp_path / "a"))
    monkeypatch.delenv("MURMUR_TENANTS", raising=False)
    assert Workspace.from_environment().home == tmp_path / "a"
    assert Workspace.from_environment(home=str(tmp_path / "b")).home == tmp_path / "b"
    assert Workspace.from_environment().tenants.name == "tenants"


def test_two_tenants_cannot_share_an_inbox(workspace):
    for name, url in (("one", "s3://drops/x/"), ("two", "s3://drops/x"), ("three", "s3://drops/y")):
        (workspace.tenants / name).mkdir()
        (workspace.tenants / name / "tenant.yaml").write_text(f"id: {name}\ntimezone: UTC\ninbox: {url}\n")
    with pytest.raises(UsageError, match="s3://drops/x is an inbox of tenant 'two' too; give each tenant a prefix"):
        workspace.tenant("one")
    assert workspace.tenant("three").inbox_urls == ("s3://drops/y",)
    # The folder that a tenant has when it names none is its own as well.
    mine = workspace.tenant("acme").inbox_urls[0]
    (workspace.tenants / "three" / "tenant.yaml").write_text(f"id: three\ntimezone: UTC\ninbox: [{mine}, gs://b]\n")
    with pytest.raises(UsageError, match="tenant 'acme' too"):
        workspace.tenant("three")


def test_an_inbox_is_listed_once(workspace):
    write(workspace, "id: acme\ntimezone: UTC\ninbox: [s3://b/x, {url: s3://b/x/, after: move}]\n")
    with pytest.raises(UsageError, match=r"inbox: .*s3://b/x is listed twice"):
        workspace.tenant("acme")
