"""Keeps a small file of every published version, written by the code that publishes: ``python -m tests.readers.keep``.

A file that is kept is never written again: it is what readers got from that version.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from datetime import date
from pathlib import Path

from pipelines.exports.csv_format import render
from pipelines.exports.parquet import PART, write_partition
from schemas.contract import Contract
from schemas.exports import CSV_FILES, file_contract
from schemas.versions import Promise, promises
from tests.readers.sample import sample

KEPT = Path(__file__).parent / "published"
#: sha256 of every kept file.
SUMS = KEPT / "sha256"
DAY = date(2026, 3, 9)
SUFFIXES = {"parquet": ".parquet", "csv": ".csv"}


def kept_path(promise: Promise) -> Path:
    return KEPT / promise.name / f"{promise.version}{SUFFIXES[promise.form]}"


def rows_contract(promise: Promise) -> Contract:
    """Columns inside a file as the code has them now."""
    return file_contract(promise.name) if promise.form == "parquet" else CSV_FILES[promise.name]


def written(promise: Promise) -> bytes:
    """A file as the code publishes it now."""
    frame = sample(rows_contract(promise), seed=promise.version)
    if promise.form == "csv":
        return render(frame, CSV_FILES[promise.name])
    with tempfile.TemporaryDirectory() as folder:
        write_partition(promise.name, "example", DAY, frame, Path(folder))
        return (Path(folder) / PART).read_bytes()


def sums() -> dict[str, str]:
    """sha256 of every kept file by its path below the folder."""
    pairs = (line.split("  ") for line in SUMS.read_text(encoding="utf-8").splitlines())
    return {path: digest for digest, path in pairs}


def main() -> None:
    for promise in promises().values():
        if promise.form == "event" or kept_path(promise).exists():
            continue
        kept_path(promise).parent.mkdir(parents=True, exist_ok=True)
        kept_path(promise).write_bytes(written(promise))
        digest = hashlib.sha256(kept_path(promise).read_bytes()).hexdigest()
        with SUMS.open("a", encoding="utf-8") as file:
            file.write(f"{digest}  {kept_path(promise).relative_to(KEPT)}\n")
        sys.stdout.write(f"{kept_path(promise)}\n")


if __name__ == "__main__":
    main()
