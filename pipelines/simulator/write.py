"""Writes a simulation as NDJSON files, one for each entity and batch, with the true answers beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.simulator.disorder import BREAKS, LATE, Disorder, break_line, late_rows, layout
from pipelines.simulator.settings import SimulationConfig
from pipelines.simulator.simulate import Simulation
from pipelines.simulator.transactions import quantity_text
from schemas.contract import Column
from schemas.entities import ENTITIES, Entity

_SLICE = 100_000
#: How timestamps of a row are written: share with the local offset, with Z, as epoch milliseconds.
_OFFSET_SHARE, _Z_SHARE = 0.45, 0.5


def write(simulation: Simulation, out: Path, disorder: Disorder | None = None) -> dict[str, list[Path]]:
    """Write ``<entity>.ndjson`` (``<entity>.0001.ndjson`` ... with several batches), ``late/`` and ``truth/``.

    Args:
        simulation: what to write.
        out: folder, made where it is not there; files of these names in it are replaced.
        disorder: what goes wrong on the way; nothing where not given.

    Returns:
        Entity -> its files in order of batch, that of its late rows last.
    """
    disorder = disorder or Disorder()
    out.mkdir(parents=True, exist_ok=True)
    written: dict[str, list[Path]] = {}
    counts = []
    for name, frame in simulation.entities.items():
        numbered = out.glob(f"{name}.[0-9][0-9][0-9][0-9].ndjson")
        for stale in (*out.glob(f"{name}.ndjson"), *numbered, *out.glob(f"late/{name}.ndjson")):
            stale.unlink()
        text = lines(simulation.config, ENTITIES[name], frame)
        late = _late(simulation.config, name, frame, disorder)
        held, text = text.filter(late), text.filter(~late)
        plan = layout(simulation.config.rng(f"disorder {name}"), len(text), disorder)
        kinds = simulation.config.rng(f"breaks {name}")
        written[name] = []
        for number, rows in enumerate(plan.batches, start=1):
            path = out / (f"{name}.ndjson" if disorder.batches == 1 else f"{name}.{number:04d}.ndjson")
            _write_batch(path, text, rows, ENTITIES[name], kinds)
            written[name].append(path)
        if len(held):
            written[name].append(_write_late(out / "late" / f"{name}.ndjson", held))
        total = len(frame) + plan.duplicated + plan.corrupted
        counts.append((name, len(frame), plan.duplicated, plan.corrupted, total))
    _write_truth(simulation, out / "truth", counts)
    return written


def _late(config: SimulationConfig, name: str, frame: pl.DataFrame, disorder: Disorder) -> pl.Series:
    if name not in LATE:
        return pl.Series([False]).new_from_index(0, len(frame))
    return late_rows(config.rng(f"late {name}"), frame["external_id"], disorder.late)


def _write_late(path: Path, text: pl.Series) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
    return path


def lines(config: SimulationConfig, entity: Entity, frame: pl.DataFrame) -> pl.Series:
    """One NDJSON line for each row: keys are field names, a field without a value is left out.

    Timestamps of a row are written with the offset of the tenant's zone, with Z, or as epoch milliseconds.
    """
    draw = config.rng(f"forms {entity.name}").random(len(frame))
    form = np.where(draw < _OFFSET_SHARE, 0, np.where(draw < _OFFSET_SHARE + _Z_SHARE, 1, 2))
    frame = frame.with_columns(pl.Series("_form", form))
    if entity.name == "referral_events":
        return frame.select(_referral_line(config)).to_series()
    columns = {column.name: column for column in entity.received}
    pieces = [_field(config, columns[name], frame[name]) for name in frame.columns if name != "_form"]
    text = pl.concat_str(pieces, ignore_nulls=True).str.slice(1)
    return frame.select(pl.concat_str(pl.lit("{"), text, pl.lit("}"))).to_series()


def _field(config: SimulationConfig, column: Column, values: pl.Series) -> pl.Expr:
    """``,"name":value``, null where there is no value."""
    return pl.concat_str(pl.lit(f',"{column.name}":'), _value(config, column, values))


def _value(config: SimulationConfig, column: Column, values: pl.Series) -> pl.Expr:
    cell = pl.col(column.name)
    if column.kind == "timestamp":
        return _timestamp(config, cell)
    if column.kind == "quantity":
        return quantity_text(cell)
    if column.kind == "date":
        return _quoted(cell.dt.to_string("%Y-%m-%d"))
    if column.kind == "string":
        risky = values.str.contains(r'["\\]').any()
        return _quoted(cell.str.replace_all(r'(["\\])', r"\$1") if risky else cell)
    return cell.cast(pl.String)


def _quoted(cell: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit('"'), cell, pl.lit('"'))


def _timestamp(config: SimulationConfig, cell: pl.Expr) -> pl.Expr:
    local = cell.dt.convert_time_zone(config.zone.key).dt.to_string("%Y-%m-%dT%H:%M:%S%.3f%:z")
    utc = cell.dt.to_string("%Y-%m-%dT%H:%M:%S%.3fZ")
    milliseconds = cell.dt.epoch("ms").cast(pl.String)
    form = pl.col("_form")
    return pl.when(form == 0).then(_quoted(local)).when(form == 1).then(_quoted(utc)).otherwise(milliseconds)


def _referral_line(config: SimulationConfig) -> pl.Expr:
    """The two payload shapes as they are sent: nested with epoch seconds, or flat with an ISO time and an offset."""

    def text(key: str, column: str, lead: str = ",") -> pl.Expr:
        return pl.concat_str(pl.lit(f'{lead}"{key}":"'), pl.col(column), pl.lit('"'))

    def person(key: str, column: str) -> pl.Expr:
        return pl.concat_str(pl.lit(f',"{key}":{{"id":"'), pl.col(column), pl.lit('"}'))

    head = [text("name", "name", "{"), text("entity", "referral_entity"), text("entityId", "entity_id")]
    at = pl.col("occurred_at")
    shape_a = pl.concat_str(
        *head,
        text("campaignId", "campaign_id", ',"data":{'),
        person("referrer", "referrer_id"),
        person("invitee", "invitee_id"),
        person("inviteeReward", "invitee_reward_id"),
        person("referrerReward", "referrer_reward_id"),
        pl.lit('},"timestamp":'),
        at.dt.epoch("s").cast(pl.String),
        pl.lit("}"),
        ignore_nulls=True,
    )
    local = at.dt.convert_time_zone(config.zone.key).dt.to_string("%Y-%m-%dT%H:%M:%S%:z")
    shape_b = pl.concat_str(
        *head,
        text("organizationId", "organization_id"),
        text("applicationId", "application_id"),
        text("campaignId", "campaign_id"),
        pl.lit(',"description":"A step of a referral","timestamp":"'),
        local,
        pl.lit('"}'),
    )
    return pl.when(pl.col("shape") == "A").then(shape_a).otherwise(shape_b)


def _write_batch(path: Path, text: pl.Series, rows: np.ndarray, entity: Entity, kinds: np.random.Generator) -> None:
    with path.open("wb") as file:
        for part in _parts(text, rows, entity, kinds):
            file.write(part)


def _parts(text: pl.Series, rows: np.ndarray, entity: Entity, kinds: np.random.Generator) -> Iterator[bytes]:
    """The batch's bytes in slices, broken copies made on the way."""
    id_field, time_field = _break_fields(entity)
    for start in range(0, len(rows), _SLICE):
        numbers = rows[start : start + _SLICE]
        broken = np.flatnonzero(numbers < 0)
        chosen = text.gather(np.where(numbers < 0, -1 - numbers, numbers))
        if len(broken):
            drawn = kinds.integers(0, len(BREAKS), len(broken)).tolist()
            copies = [
                break_line(line, kind, id_field, time_field)
                for line, kind in zip(chosen.gather(broken), drawn, strict=True)
            ]
            chosen = chosen.scatter(broken, copies)
        yield (chosen.str.join("\n").item() + "\n").encode()


def _break_fields(entity: Entity) -> tuple[str, str]:
    """The required string field that identifies a row as sent, and the instant that orders it."""
    if entity.name == "referral_events":
        return "name", "timestamp"
    required = {"identity_links": "flockr_vid", "stock_levels": "product_id"}
    natural = {"campaign_customers": "campaign_id", "fx_rates": "from_currency"}
    return {**required, **natural}.get(entity.name, "external_id"), entity.ordered_by


def _write_truth(simulation: Simulation, folder: Path, counts: list[tuple[str, int, int, int, int]]) -> None:
    folder.mkdir(exist_ok=True)
    for name, frame in simulation.truth.items():
        frame.write_parquet(folder / f"{name}.parquet")
    keys = ("entity", "rows", "duplicated", "corrupted", "lines")
    config = simulation.config
    about = {
        "timezone": config.zone.key,
        "currency": config.currency,
        "first_day": config.first.isoformat(),
        "last_day": config.last.isoformat(),
        "visitors": config.visitors,
        "products": config.product_count,
        "customers": config.customer_count,
        "seed": config.seed,
        "entities": [dict(zip(keys, row, strict=True)) for row in counts],
    }
    (folder / "rows.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
