"""dlt loads one NDJSON file of customer events to its filesystem destination as Parquet. Run by ``ingest.py``.

Every column is hinted with its type, nested values are kept as JSON; orjson, no progress bar, no telemetry. It
appends: no deduplication, no order, no checks, no copy of the input. ``plain`` leaves all else as dlt has it; ``tuned``
does what its performance guide advises: pages of 10,000 rows, a worker process for each core, files small enough to
share out between them, larger buffers, no compression of intermediate files.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).parent / ".data"
PAGES = {"plain": 1000, "tuned": 10_000}
os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
TUNED = {
    "EXTRACT__DATA_WRITER__BUFFER_MAX_ITEMS": "50000",
    "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "125000",
    "EXTRACT__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "NORMALIZE__DATA_WRITER__BUFFER_MAX_ITEMS": "50000",
    "NORMALIZE__WORKERS": str(os.cpu_count()),
    "LOAD__WORKERS": str(os.cpu_count()),
}

if sys.argv[2] == "tuned":
    os.environ |= TUNED

import dlt  # noqa: E402
from _measure import timed  # noqa: E402
from dlt.sources.filesystem import filesystem, read_jsonl  # noqa: E402

TYPES = {"occurred_at": "timestamp", "products": "json", "value_minor": "bigint"}
TEXTS = (
    "external_id", "event_name", "customer_id", "flockr_vid", "session_id", "channel", "product_id", "cart_id",
    "currency", "url_path", "device_type", "agent_class",
)  # fmt: skip


def load(file: Path, settings: str) -> None:
    """One pipeline run into a fresh folder."""
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        columns = {name: {"data_type": kind} for name, kind in (*TYPES.items(), *((text, "text") for text in TEXTS))}
        source = filesystem(bucket_url=file.parent.as_uri(), file_glob=file.name)
        resource = (source | read_jsonl(chunksize=PAGES[settings])).with_name("customer_events")
        resource.apply_hints(columns=columns, write_disposition="append")
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=f"{folder}/work",
            destination=dlt.destinations.filesystem(bucket_url=(Path(folder) / "lake").as_uri()),
            dataset_name="lake",
        )
        pipeline.run(resource, loader_file_format="parquet").raise_on_failed_jobs()
        assert any(Path(folder).glob("lake/**/customer_events/*.parquet"))


if __name__ == "__main__":
    print(json.dumps(timed(lambda: load(Path(sys.argv[1]), sys.argv[2]))))
