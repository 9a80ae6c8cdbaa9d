"""One batch while it is read: piece by piece parsed, typed, split, and parted into what lands and what is refused.

Nothing is written here except pieces that wait in the spool; ``ingest`` publishes.
"""

from __future__ import annotations

import io
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import polars as pl

from pipelines.calendar import day_of, local_date
from pipelines.config import Tenant
from pipelines.landing import contacts, free_text, messages, personal, records, referrals
from pipelines.landing.layout import split_schema
from pipelines.landing.refusals import FileRefusedError, Refused, plain_key, redacted
from pipelines.landing.source import Payload
from pipelines.landing.spool import Spool
from pipelines.landing.typed import TRANSPORT, Typed, day_instant, order_instant, typed
from pipelines.landing.vault import derived_key
from pipelines.landing.waiting import Waiting
from pipelines.storage.hashing import subject_key
from schemas.entities.envelope import Entity
from schemas.tables import QUARANTINE

#: Fields of the envelope that say where a record belongs; the command says it already.
_ADDRESSED = ("tenant", "entity")
#: Columns of refused rows while they wait.
REFUSED = pl.Schema(
    {"line_no": pl.Int64(), "rule": pl.String(), "reason": pl.String(), "redacted_row": pl.String(), "date": pl.Date()}
)
_LINE_RANGE = 1 << 17
#: Pieces that are parsed and typed at once; each takes about ten times its size.
_AT_ONCE = 2
_REFUSED_AT_ONCE = 1 << 15


@dataclass
class Batch:
    """What has been read so far.

    Attributes:
        spool: typed rows.
        received: rows seen, good and bad.
        refused: columns line_no, rule, reason, redacted_row, date of each refused row.
        refused_days: refused rows by the tenant day that they name; None where they name none readably.
        sealed_rows: the refused rows as received, as NDJSON of line_no and raw; for the vault only.
        sealed_people: personal records as Arrow files; for the vault only.
        messages: what each row with a message id said, as ``messages.said`` gives it.
        unknown: names of undeclared fields, and in how many pieces they were seen.
        masked: free text columns, and how many of their cells held a contact detail.
        file_reason: why the whole file was refused.
    """

    spool: Spool
    received: int = 0
    refused: Spool = field(init=False)
    refused_days: Counter[date | None] = field(default_factory=Counter)
    sealed_rows: Waiting = field(init=False)
    sealed_people: Waiting = field(init=False)
    messages: Spool = field(init=False)
    unknown: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    file_reason: str | None = None

    def __post_init__(self) -> None:
        folder = self.spool.folder
        self.refused = Spool(folder / "refused_rows", REFUSED, lambda rows: rows["line_no"] // _LINE_RANGE)
        self.sealed_rows = Waiting(folder / "sealed_rows")
        self.sealed_people = Waiting(folder / "sealed_people")
        self.messages = messages.waiting(folder / "messages")

    @property
    def quarantined(self) -> int:
        """How many rows are refused."""
        return self.refused_days.total()


def read_batch(
    tenant: Tenant, entity: Entity, payload: Payload, new_spool: Spool, go_on: Callable[[], None] = lambda: None
) -> Batch:
    """Read a whole file into a batch; a file that cannot be read becomes one refused row of line 0.

    Args:
        tenant: whose zone and keys apply.
        entity: what the rows are.
        payload: the file.
        new_spool: takes the typed rows.
        go_on: called between pieces; raises to stop.
    """
    batch = Batch(new_spool)
    key = derived_key(tenant, "contact") if entity.personal else b""
    try:
        for taken in _in_order(records.read(payload, _asked(entity)), partial(_taken, tenant, entity, key)):
            go_on()
            _keep(batch, tenant, entity, taken)
    except FileRefusedError as refusal:
        batch = Batch(Spool(new_spool.folder / "refused", split_schema(entity)), file_reason=refusal.reason)
        _refuse(batch, [Refused(0, refusal.reason, "")])
    return batch


def _in_order(
    pieces: Iterator[Callable[[], records.Texts]], work: Callable[[Callable[[], records.Texts]], _Taken]
) -> Iterator[_Taken]:
    """What is made of each piece, in their order; while one is kept the next ones are read, parsed and typed."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting: deque[Future[_Taken]] = deque()
        try:
            for piece in pieces:
                waiting.append(pool.submit(work, piece))
                del piece
                if len(waiting) > _AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _asked(entity: Entity) -> list[str]:
    """Keys to read from a record; those that say where it belongs are read so that they do not count as unknown."""
    shapes = referrals.SOURCE_KEYS if entity.name == "referral_events" else ()
    own = (column.name for column in entity.received)
    return list(dict.fromkeys((*own, *shapes, *(key for key, _ in entity.aliases), *_ADDRESSED)))


@dataclass(frozen=True)
class _Taken:
    """One piece, typed.

    Attributes:
        texts: as parsed.
        result: the same rows typed; None where there are none.
        rows: those that stay, in split form; None where there are no rows at all.
        masked: free text columns, and how many of their cells held a contact detail.
        people: personal records as an Arrow file; None where there are none.
        said: what rows with a message id said.
    """

    texts: records.Texts
    result: Typed | None = None
    rows: pl.DataFrame | None = None
    masked: Counter[str] = field(default_factory=Counter)
    people: bytes | None = None
    said: pl.DataFrame | None = None


def _taken(tenant: Tenant, entity: Entity, key: bytes, parse: Callable[[], records.Texts]) -> _Taken:
    """Parse and type a piece; changes nothing, so that several may be at work."""
    texts = parse()
    frame = texts.frame
    if not frame.height:
        return _Taken(texts)
    numbers = frame["line_no"]
    if entity.name == "referral_events":
        frame = referrals.flatten(frame)
    for alias, column in entity.aliases:
        frame = frame.with_columns(pl.coalesce(column, alias).alias(column)).drop(alias)
    days = (tenant.config.first_day, tenant.config.last_day)
    region = contacts.country_of(tenant)
    result = typed(frame, entity, tenant.zone, controls=texts.controls, days=days)
    result = free_text.split(result, entity, region)
    good = _good(result, numbers, texts, entity)
    masked = free_text.counts(good)
    good = personal.derive(good, entity, key, region)
    people = personal.records(good, entity)
    rows = _split(good, tenant, entity)
    said = messages.said(rows, numbers, frame["message_id"], entity)
    return _Taken(texts, result, rows, masked, None if people is None else _as_file(people), said)


def _as_file(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer)
    return buffer.getvalue()


def _keep(batch: Batch, tenant: Tenant, entity: Entity, taken: _Taken) -> None:
    """Add a piece to what has been read."""
    batch.unknown.update(sorted({plain_key(name) for name in taken.texts.unknown}))
    if taken.result is None or taken.rows is None:
        _refuse(batch, taken.texts.refused)
        return
    for refused in _refused(taken.result, taken.texts, tenant, entity):
        _refuse(batch, refused)
    batch.received += taken.rows.height
    batch.masked.update(taken.masked)
    if taken.people is not None:
        batch.sealed_people.append(taken.people)
    if taken.said is not None:
        batch.messages.add(taken.said)
    batch.spool.add(taken.rows)


def _refused(result: Typed, texts: records.Texts, tenant: Tenant, entity: Entity) -> Iterator[list[Refused]]:
    """Refused rows of a piece, some at a time: each is kept as Python objects, which take many times its room."""
    reasons = list(result.verdict.reasons().items())
    refused, numbers = list(texts.refused), texts.frame["line_no"]
    for start in range(0, len(reasons), _REFUSED_AT_ONCE):
        block = reasons[start : start + _REFUSED_AT_ONCE]
        places = [place for place, _ in block]
        raws = texts.lines.raw([numbers[i] for i in places])
        days = _days(result.frame[places], tenant, entity)
        refused += [Refused(numbers[i], why, raws[numbers[i]], day) for (i, why), day in zip(block, days, strict=True)]
        yield refused
        refused = []
    yield refused


def _days(frame: pl.DataFrame, tenant: Tenant, entity: Entity) -> list[date | None]:
    """The tenant day of each typed row, where it says one that is kept."""
    if not entity.partitioned:
        return [None] * frame.height
    first, last = (day_of(day, tenant.zone) for day in (tenant.config.first_day, tenant.config.last_day))
    instant = day_instant(entity)
    kept = pl.when(instant.is_between(first.start, last.end, closed="left")).then(instant)
    return frame.select(local_date(kept, tenant.zone)).to_series().to_list()


def _good(result: Typed, numbers: pl.Series, texts: records.Texts, entity: Entity) -> pl.DataFrame:
    """The rows that stay, with line_no, order_at and patch_fields."""
    frame = result.frame.with_columns(numbers, order_instant(entity).alias("order_at"))
    frame = frame.filter(~result.verdict.refused) if result.verdict.refused.any() else frame
    patches = frame["line_no"].filter(frame["op"] == "patch").to_list()
    if not patches:
        return frame.with_columns(pl.lit(None, pl.String).alias("patch_fields"))
    if texts.empty_clears:
        plain = [c.name for c in entity.columns if c.kind == "string"]
        cleared = (pl.col("op") == "patch") & (pl.col(plain) == "")
        frame = frame.with_columns(pl.when(~cleared | pl.col(plain).is_null()).then(pl.col(plain)))
    raws = texts.lines.raw(patches)
    named = [(line, _named(raws[line], entity)) for line in patches]
    fields = pl.DataFrame(named, schema={"line_no": pl.Int64, "patch_fields": pl.String}, orient="row")
    return frame.join(fields, on="line_no", how="left", maintain_order="left")


def _named(raw: str, entity: Entity) -> str:
    """Canonical JSON list of the stored columns that a patch decides; absent fields are not in it, null ones are."""
    aliases = dict(entity.aliases)
    named = [aliases.get(name, name) for name in json.loads(raw)]
    present = [name for name in named if name not in TRANSPORT or name in _own(entity)]
    return json.dumps([n for n in personal.patched(present, entity) if n != "external_id"], separators=(",", ":"))


def _own(entity: Entity) -> set[str]:
    return {column.name for column in entity.columns}


def _split(frame: pl.DataFrame, tenant: Tenant, entity: Entity) -> pl.DataFrame:
    """The split form, in contract order."""
    # A tombstone or patch need not say when the thing happened; it then belongs to the day of its own instant.
    instant = pl.coalesce(*dict.fromkeys((entity.day_instant, "order_at")))
    day = local_date(instant, tenant.zone) if entity.partitioned else pl.lit(None, pl.Date)
    schema = split_schema(entity)
    return frame.with_columns(
        day.alias("date"), subject_key("external_id").alias("id_key"), pl.lit(False).alias("repeat")
    ).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _refuse(batch: Batch, refused: list[Refused]) -> None:
    if not refused:
        return
    batch.received += len(refused)
    batch.refused_days.update(row.date for row in refused)
    rows = [(r.line_no, r.rule, r.reason, redacted(r.raw), r.date) for r in refused]
    batch.refused.add(pl.DataFrame(rows, schema=REFUSED, orient="row"))
    lines = [json.dumps({"line_no": r.line_no, "raw": r.raw}, ensure_ascii=False) for r in refused]
    batch.sealed_rows.append(("\n".join(lines) + "\n").encode("utf-8", "surrogatepass"))


def quarantine_rows(batch: Batch, entity: Entity, batch_id: str, file: str) -> Iterator[pl.DataFrame]:
    """The refused rows as the ``quarantine`` table has them, frame after frame in the order of their lines."""
    named = {"entity": entity.name, "batch_id": batch_id, "file": file}
    for rows in batch.refused.ranges():
        whole = rows.with_columns(pl.lit(value).alias(name) for name, value in named.items())
        yield whole.select(pl.col(name).cast(dtype) for name, dtype in QUARANTINE.schema.items()).sort("line_no")
