"""How a finished frame becomes the bytes of a Parquet file: plain through Polars, or with its dictionaries as they are.

A text column that comes as ``Enum`` is written from its codes, so that no text is hashed again for each row. Readers
cannot tell: the file says that it holds text. Which rows a file has is decided by who calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 131_072
#: Texts of a row group beyond this many bytes are written out instead of numbered.
_DICTIONARY_BYTES = 64 << 20


def write(frame: pl.DataFrame, path: Path, key: Sequence[str]) -> None:
    """Write a frame; equal rows give equal bytes if equal columns are ``Enum`` and these list only texts in use.

    Args:
        frame: in its final order.
        path: of the file.
        key: columns by which readers skip row groups; of ``Enum`` frames only they get statistics.
    """
    coded = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Enum)]
    if not coded:
        frame.write_parquet(path, compression="snappy", row_group_size=ROW_GROUP, statistics=True)
        return
    pq.write_table(
        _table(frame),
        path,
        compression="snappy",
        row_group_size=ROW_GROUP,
        use_dictionary=coded,
        write_statistics=[name for name in key if name in frame.columns],
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        # Without it the file names no types of Arrow, and its texts are texts to every reader.
        store_schema=False,
    )


def _table(frame: pl.DataFrame) -> pa.Table:
    table = frame.to_arrow()
    plain = pa.schema([pa.field(field.name, field.type) for field in table.schema])
    return table.cast(plain)


def coded(codes: npt.NDArray[np.int64], texts: pl.Series) -> pl.Series:
    """Texts by number as ``Enum``, whose order is that of the texts; only those in use are listed.

    Args:
        codes: places in ``texts``, -1 for no text.
        texts: sorted, each once.
    """
    some = codes >= 0
    whole = bool(some.all())
    used = np.bincount(codes if whole else codes[some], minlength=texts.len()) > 0
    if not used.any():
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(codes))
    dense = (np.cumsum(used) - 1)[codes] if not used.all() else codes
    numbered = pl.Series(dense.astype(np.uint32))
    if not whole:
        numbered = numbered.set(pl.Series(~some), None)
    return numbered.cat.to(pl.Enum(texts.filter(pl.Series(used))))
