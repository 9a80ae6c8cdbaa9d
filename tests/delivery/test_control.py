from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text

from pipelines.errors import MurmurError, UsageError
from pipelines.storage.control import open_control, reading, writing
from pipelines.storage.control.cipher import installation_cipher
from pipelines.storage.control.engine import ControlError
from pipelines.storage.control.migrate import FOLDER, HEAD, revision
from pipelines.storage.control.tables import metadata, outbox_partitions

KEY = base64.b64encode(bytes(range(32))).decode()


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'control.db'}"


def test_the_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    engine = open_control(url_of(tmp_path))
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert revision(engine) == HEAD
    engine.dispose()


def test_the_newest_revision_is_the_one_that_the_code_expects() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_opening_at_once_migrates_once(tmp_path: Path) -> None:
    def opened(_: int) -> str | None:
        engine = open_control(url_of(tmp_path))
        found = revision(engine)
        engine.dispose()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(opened, range(8))) == {HEAD}


def test_the_database_and_its_key_are_their_owners_alone(tmp_path: Path) -> None:
    open_control(url_of(tmp_path)).dispose()
    installation_cipher(tmp_path, None)
    for name in ("control.db", "control.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    engine = open_control(url_of(tmp_path))
    with pytest.raises(RuntimeError), writing(engine) as connection:
        connection.execute(insert(outbox_partitions).values(tenant="a", source="s", date="d", file="f"))
        raise RuntimeError
    with reading(engine) as connection:
        assert connection.execute(select(outbox_partitions)).all() == []
    engine.dispose()


def test_a_database_that_is_none_is_one_plain_sentence(tmp_path: Path) -> None:
    (tmp_path / "control.db").mkdir()
    with pytest.raises((ControlError, OSError)):
        open_control(url_of(tmp_path))


def test_a_secret_opens_with_its_key_and_its_owner_alone(tmp_path: Path) -> None:
    cipher = installation_cipher(tmp_path, KEY)
    stored = cipher.encrypt("whsec_plain", "ep_1")
    assert "plain" not in stored
    assert stored != cipher.encrypt("whsec_plain", "ep_1")
    assert installation_cipher(tmp_path, KEY).decrypt(stored, "ep_1") == "whsec_plain"
    assert not (tmp_path / "control.key").exists()
    with pytest.raises(MurmurError):
        cipher.decrypt(stored, "ep_2")
    with pytest.raises(MurmurError):
        installation_cipher(tmp_path, None).decrypt(stored, "ep_1")


def test_the_embedded_key_is_made_once(tmp_path: Path) -> None:
    stored = installation_cipher(tmp_path, None).encrypt("x", "ep")
    assert installation_cipher(tmp_path, None).decrypt(stored, "ep") == "x"


@pytest.mark.parametrize("key", ["short", base64.b64encode(b"short").decode(), "é" * 44])
def test_a_key_of_another_form_is_refused_without_being_repeated(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError) as raised:
        installation_cipher(tmp_path, key)
    assert key not in str(raised.value)
