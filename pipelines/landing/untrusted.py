"""Parquet from outside is read in a child process, because a damaged file can abort the process that reads it.

The child is limited in memory and time; what it writes is checked and limited here as it arrives.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, BinaryIO

import polars as pl
import pyarrow as pa

from pipelines.landing.parquet_child import EXIT_MEMORY, REFUSED, UNKNOWN
from pipelines.landing.refusals import FileRefusedError, Refused
from pipelines.landing.source import READ_BYTES, Payload
from pipelines.landing.texts import LINE, Lines, Texts

#: Address space of the child; what a row group needs beyond its file buffers.
MEMORY_BYTES = 3 << 30
#: CPU time of the child, and the longest that it may take in all.
CPU_SECONDS = 1800
WALL_SECONDS = 3600
#: Text may always be this long, and longer as long as it is not more than so many times the file.
FREE_BYTES = 1 << 30
MAX_RATIO = 1000


def parquet_rows(payload: Payload, columns: Sequence[str]) -> Iterator[Texts]:
    """The rows of a Parquet file, numbered from 1.

    Raises:
        FileRefusedError: ``damaged_parquet`` when the child cannot read it or dies, ``parquet_too_large`` when it needs
            too much memory or time, ``expands_too_far`` when it tells more text than a file of its size has reason
            to, ``empty_file`` when it has no rows.
    """
    first = 1
    for frame, unknown in _frames(payload, columns):
        numbers = pl.int_range(first, first + frame.height, dtype=pl.Int64, eager=True).rename(LINE)
        numbered = frame.insert_column(0, numbers)
        bad = numbered.filter(pl.col(REFUSED).is_not_null())
        good = numbered.filter(pl.col(REFUSED).is_null()) if bad.height else numbered
        raws = Lines(None, first, bad.drop(REFUSED)).raw(bad[LINE].to_list())
        refused = [Refused(line, reason, raws[line]) for line, reason in bad.select(LINE, REFUSED).iter_rows()]
        good = good.drop(REFUSED)
        yield Texts(good, refused, Lines(None, first, good), True, unknown)
        first += frame.height
    if first == 1:
        raise FileRefusedError("empty_file")


def _frames(payload: Payload, columns: Sequence[str]) -> Iterator[tuple[pl.DataFrame, frozenset[str]]]:
    limit = max(FREE_BYTES, MAX_RATIO * payload.size)
    with _received(payload) as received, _child(received, columns) as child:
        assert child.stdout is not None  # noqa: S101
        try:
            with pa.ipc.open_stream(child.stdout) as reader:
                unknown = frozenset(json.loads((reader.schema.metadata or {}).get(UNKNOWN, b"[]")))
                for batch in reader:
                    batch.validate(full=True)
                    limit -= batch.nbytes
                    if limit < 0:
                        raise FileRefusedError("expands_too_far")
                    yield pl.DataFrame(pl.from_arrow(batch)), unknown
        except (pa.ArrowInvalid, OSError):
            # The stream stops where the child died; its exit code says more.
            pass
        code = child.wait()
    if code:
        # Out of memory, out of CPU time, or killed by the timer.
        too_large = code in (EXIT_MEMORY, -signal.SIGXCPU, -signal.SIGKILL)
        raise FileRefusedError("parquet_too_large" if too_large else "damaged_parquet")


@contextmanager
def _child(received: IO[bytes], columns: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that reads the file; killed when it takes too long or nobody wants its answer any more."""
    command = [sys.executable, "-m", "pipelines.landing.parquet_child", str(MEMORY_BYTES), str(CPU_SECONDS), *columns]
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    with subprocess.Popen(
        command, stdin=received, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        timer = threading.Timer(WALL_SECONDS, child.kill)
        timer.start()
        try:
            yield child
        finally:
            timer.cancel()
            child.kill()


@contextmanager
def _received(payload: Payload) -> Iterator[BinaryIO]:
    """The content as a file that the child can seek in."""
    with payload.decoded() as stream:
        if not payload.compression and _has_handle(stream):
            yield stream
            return
        # Unlinked: nothing of it remains when this process is killed.
        with tempfile.TemporaryFile() as copy:
            while block := stream.read(READ_BYTES):
                copy.write(block)
            copy.flush()
            copy.seek(0)
            yield copy


def _has_handle(stream: BinaryIO) -> bool:
    try:
        return stream.fileno() >= 0
    except OSError:
        return False
