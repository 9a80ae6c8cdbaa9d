"""Marked people go through everything that writes, and no byte outside the vault knows them."""

from __future__ import annotations

import json
import os

from click.testing import CliRunner, Result

from pipelines.cli.main import cli
from pipelines.config import Tenant
from pipelines.entities.checks import CHECKS
from tests.marked import PEOPLE, assert_unmarked
from tests.properties.messy import files
from tests.properties.tenants import tenants


def murmur(tenant: Tenant, *words: str) -> str:
    """A command in all that it says; it may refuse what it is given, and must not break."""
    places = ["--home", str(tenant.home), "--tenants", str(tenant.folder.parent)]
    done: Result = CliRunner().invoke(cli, [*places, *words, "--tenant", tenant.id], catch_exceptions=False)
    return f"{done.stdout}{done.stderr}"


def send(tenant: Tenant) -> list[str]:
    """Every messy file, dropped in a folder beside home and ingested; what was said."""
    folder = tenant.home.parent / "sent"
    folder.mkdir()
    said = []
    for entity, name, data in files():
        (folder / name).write_bytes(data)
        said.append(murmur(tenant, "ingest", "--entity", entity, str(folder / name), "--json"))
        said.append(murmur(tenant, "ingest", "--entity", entity, str(folder / name)))
    return said


def drop(tenant: Tenant) -> list[str]:
    """Files in the inbox: those that land, and those that stay where they are."""
    one = PEOPLE[16]
    names = ("customers/{}.ndjson", "customers/{}.tmp", "customers/{}.docx", "nobody/{}.ndjson", "customers/{}/x.csv")
    for mark in (one.email, one.phone, f"0{one.phone[4:]}".replace(" ", "")):
        for name in names:
            file = tenant.inbox / name.format(mark)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(
                json.dumps({"external_id": f"in-{mark[:2]}", "updated_at": "2025-10-25", **one.record}) + "\n"
            )
            os.utime(file, (1, 1))
    return [murmur(tenant, "ingest", "--inbox", "--json"), murmur(tenant, "ingest", "--inbox")]


def test_no_byte_outside_the_vault_knows_a_marked_person(caplog):
    with tenants(1) as (tenant,):
        said = send(tenant)
        counted = [json.JSONDecoder().raw_decode(text)[0]["total"] for text in said[::2]]
        said += drop(tenant)
        assert sum(total["accepted"] for total in counted) > 60
        assert sum(total["quarantined"] for total in counted) > 40
        commands = [
            ("quarantine", "list"), ("quarantine", "list", "--json"), ("quarantine", "replay", "--json"),
            ("run",), ("run", "--json"), ("status",), ("status", "--json"), ("quarantine", "list", "--json"),
        ]  # fmt: skip
        said += [murmur(tenant, *words) for words in commands]
        assert tenant.lake.read("customers").height > 10
        for check in CHECKS:
            result = check.run(tenant, tenant.lake.days("customer_events"))
            assert result.passed or not result.blocking, result
            said.append(str(result))
        assert_unmarked(tenant.home, *said, caplog.text)
