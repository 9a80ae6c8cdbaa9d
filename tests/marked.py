"""Made-up people whose every detail carries a mark, and a scanner that finds the mark in any byte outside the vault.

A test sends some of ``PEOPLE`` through what it tests and ends with ``assert_unmarked``. Names, streets and e-mail
addresses hold the token, so that one word finds them in every encoding; phone numbers are found by their digits.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow as pa

TOKEN = "zqmark"
_SHORTEST = 6


@dataclass(frozen=True)
class Person:
    """One marked person; the fields are those of a customer."""

    email: str
    phone: str
    first_name: str
    last_name: str
    birth_date: str
    gender: str
    loyalty_card_number: str
    address: dict[str, str]

    @property
    def record(self) -> dict[str, Any]:
        """The personal fields of a customer record."""
        return asdict(self)

    @property
    def texts(self) -> list[str]:
        """What such a person types where no field asks for it: forms that free text is scanned for."""
        digits = "0" + self.phone.removeprefix("+44 ").replace(" ", "")
        return [
            f"for {self.email}",
            self.email.upper(),
            f"/reset?to={quote(self.email, safe='')}",
            self.phone,
            f"ring {digits} now",
            f"{digits[:5]} {digits[5:]}",
            f"0044{digits[1:]}",
            f"tel={quote(self.phone, safe='')}",
        ]


def person(number: int) -> Person:
    """The marked person with this number, 0 to 99."""
    return Person(
        email=f"{TOKEN}{number}.person@example.com",
        phone=f"+44 7700 9007{number:02}",
        first_name=f"First{TOKEN}{number}",
        last_name=f"Last{TOKEN}{number}",
        birth_date="1987-06-05",
        gender=f"gender{TOKEN}",
        loyalty_card_number=f"CARD-{TOKEN}-{number}",
        address={
            "line1": f"{number} {TOKEN} Street",
            "city": f"{TOKEN}town",
            "postal_code": "ZZ1 1ZZ",
            "country": "GB",
        },
    )


PEOPLE = tuple(person(number) for number in range(20))


def needles() -> dict[str, bytes]:
    """What must not be found, in lower case: the mark as it is, encoded and hashed."""
    found = {"token": TOKEN.encode(), "token backwards": TOKEN[::-1].encode()}
    for name in ("utf-16-le", "utf-16-be"):
        found[name] = TOKEN.encode(name)
    found["hex"] = TOKEN.encode().hex().encode()
    found["escaped"] = "".join(f"\\u{ord(letter):04x}" for letter in TOKEN).encode()
    for marked in PEOPLE:
        digits = re.sub(r"\D", "", marked.phone)
        found[f"digits of {marked.phone}"] = digits.removeprefix("44").encode()
        for text in (marked.email, marked.phone, digits, f"+{digits}"):
            for algorithm in ("md5", "sha1", "sha256"):
                found[f"{algorithm} of {text}"] = hashlib.new(algorithm, text.encode()).hexdigest().encode()
    return found


def _in_base64() -> list[bytes]:
    """The token as it shows in base64, at each of the three places it may begin, in any case of letters."""
    forms = []
    for case in (TOKEN, TOKEN.upper(), TOKEN.capitalize()):
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + case.encode())
            # The first letters also hold the shift, the last ones what follows.
            forms.append(coded[-(-shift * 8 // 6) : (shift + len(case)) * 8 // 6])
    return [form for form in forms if len(form) >= _SHORTEST]


_NEEDLES = needles()
_BASE64 = _in_base64()
_BETWEEN_DIGITS = re.compile(rb"(?<=\d)(?:[ ().\-/+]|%20|%2d|%28|%29){1,4}(?=\d)")
_ANY = re.compile(b"|".join(re.escape(needle) for needle in _NEEDLES.values()))


def marks_in(data: bytes) -> list[str]:
    """Names of the needles that bytes hold, in clear or encoded."""
    lower = data.lower()
    found = []
    for view in (lower, _BETWEEN_DIGITS.sub(b"", lower)):
        if _ANY.search(view):
            found += [name for name, needle in _NEEDLES.items() if needle in view]
    found += ["base64" for form in _BASE64 if form in data]
    return sorted(set(found))


# --- every byte, also the packed ones --------------------------------------------------------------------------------


def views(path: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of a file as they lie there, and as every reader that knows the format would see them."""
    data = path.read_bytes()
    yield "bytes", data
    for magic, name, unpack in _PACKED:
        if data.startswith(magic):
            yield name, unpack(data)
    if data.startswith(b"SQLite format 3\0"):
        yield "sqlite", _sqlite(path)


def _parquet(data: bytes) -> bytes:
    frame = pl.read_parquet(io.BytesIO(data))
    footer = pl.read_parquet_metadata(io.BytesIO(data))
    return _texts(frame) + repr(footer).encode()


def _arrow(data: bytes) -> bytes:
    return _texts(pl.DataFrame(pl.from_arrow(pa.ipc.open_file(pa.BufferReader(data)).read_all())))


def _texts(frame: pl.DataFrame) -> bytes:
    """Every distinct text of every column, and the names of the columns."""
    texts = list(frame.columns)
    for column in frame.get_columns():
        if column.dtype in (pl.String, pl.Binary, pl.Categorical):
            distinct = column.cast(pl.String) if column.dtype == pl.Categorical else column
            values = distinct.drop_nulls().unique().to_list()
            texts += [v if isinstance(v, str) else v.decode("latin-1") for v in values]
        elif column.dtype.is_nested():
            texts += [str(value) for value in column.to_list()]
    return "\n".join(texts).encode("utf-8", "replace")


def _gunzipped(data: bytes) -> bytes:
    with suppress(OSError, EOFError):
        return gzip.decompress(data)
    return b""


def _sqlite(path: Path) -> bytes:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return "\n".join(connection.iterdump()).encode("utf-8", "replace")


_PACKED: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"PAR1", "parquet", _parquet),
    (b"ARROW1", "arrow", _arrow),
    (b"\x1f\x8b", "gzip", _gunzipped),
    (b"BZh", "bzip2", bz2.decompress),
    (b"\x28\xb5\x2f\xfd", "zstd", lambda data: pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()),
)


def findings(home: Path, *outside: Path) -> list[str]:
    """``file (view): needle`` for every mark in a file, or the name of a file, below home that is not in a vault.

    Args:
        home: a home folder; what lies in ``vault`` is skipped, and so is ``inbox``, where senders put their own files.
        outside: files and folders below home that are skipped too.
    """
    skipped = (home / "vault", home / "inbox", *outside)
    found = []
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        if any(path.is_relative_to(folder) for folder in skipped):
            continue
        shown = path.relative_to(home)
        found += [f"{shown} (name): {mark}" for mark in marks_in(str(shown).encode())]
        for view, data in views(path):
            found += [f"{shown} ({view}): {mark}" for mark in marks_in(data)]
    return found


def assert_unmarked(home: Path, *said: str) -> None:
    """No mark lies below home outside the vault, nor in what was said on the terminal or in a log."""
    found = findings(home)
    for text in said:
        found += [f"said: {mark}" for mark in marks_in(text.encode("utf-8", "replace"))]
    assert found == [], "\n".join(found[:20])
    assert any((home / "vault").rglob("*.enc")), "nothing was sealed, so nothing was tested"
