"""The smallest records that the guide shows are taken, and are the smallest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from schemas.entities import ENTITIES
from tests.landing.support import land, reasons, tenant

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sending-data.md"
RECORDS = {
    entity: json.loads(record)
    for entity, record in re.findall(r"^\| `(\w+)` \| `(\{.*\})` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
}


def test_every_entity_is_shown():
    assert set(RECORDS) == set(ENTITIES)


@pytest.mark.parametrize("entity", ENTITIES)
def test_the_record_is_taken_and_nothing_can_be_left_out(entity, tmp_path):
    where, record = tenant(tmp_path), RECORDS[entity]
    assert land(where, entity, [record]).accepted == 1
    fewer = [{key: value for key, value in record.items() if key != left_out} for left_out in record]
    receipt = land(where, entity, fewer)
    assert receipt.quarantined == len(fewer), reasons(where, entity)
