"""What a destination acknowledged, row by row: a snapshot, and a journal of what came after it.

That a row is about to be sent is in the journal, and flushed, before it is sent: after a kill it counts as uncertain,
and is sent or removed again. Lines say all that is known of a row, so that reading them twice changes nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.delivery.reverse_etl.diff import KNOWN
from pipelines.storage.durable import replacing

#: An acknowledged removal: the row is known no more.
GONE = "gone"


@dataclass(frozen=True)
class Outcome:
    """What became of one row; the fields are those of ``KNOWN``.

    Attributes:
        gone: its removal was acknowledged.
    """

    row_key: str
    acked_hash: str | None = None
    acked_payload: str | None = None
    failed_hash: str | None = None
    consecutive_failures: int = 0
    next_retry_at: int | None = None
    uncertain: bool = False
    gone: bool = False


@dataclass(frozen=True)
class Acknowledged:
    """The memory of one sync.

    Attributes:
        folder: of this sync alone.
    """

    folder: Path

    def known(self) -> pl.DataFrame:
        """``KNOWN`` of every row, sorted by ``row_key``."""
        snapshot = self.folder / "acked.arrow"
        base = pl.read_ipc(snapshot) if snapshot.is_file() else pl.DataFrame(schema=KNOWN)
        if not self._whole():
            return base
        told = pl.DataFrame(
            [[getattr(each, name) for name in KNOWN] + [each.gone] for each in self._journal()],
            schema={**KNOWN, GONE: pl.Boolean},
            orient="row",
        ).unique("row_key", keep="last", maintain_order=True)
        kept = base.join(told, on="row_key", how="anti")
        return pl.concat([kept, told.filter(~pl.col(GONE)).drop(GONE)]).sort("row_key")

    def tell(self, outcomes: Iterable[Outcome]) -> None:
        """Remember what is about to be sent, or what became of it; flushed to disk before this returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(vars(each), ensure_ascii=False) + "\n" for each in outcomes)
        with (self.folder / "journal.ndjson").open("ab") as file:
            file.truncate(self._whole())
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def compact(self) -> None:
        """Fold the journal into the snapshot; a kill in between leaves both, which say the same."""
        known = self.known()
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / "acked.arrow", sync=True) as temporary:
            known.write_ipc(temporary)
        (self.folder / "journal.ndjson").unlink(missing_ok=True)

    def _journal(self) -> Iterator[Outcome]:
        file = self.folder / "journal.ndjson"
        if file.is_file():
            for line in file.read_bytes()[: self._whole()].split(b"\n")[:-1]:
                yield Outcome(**json.loads(line))

    def _whole(self) -> int:
        """Bytes of the journal up to its last whole line; a kill may have cut the one after it."""
        file = self.folder / "journal.ndjson"
        return file.read_bytes().rfind(b"\n") + 1 if file.is_file() else 0
