"""A worker in a process of its own, to be paused or killed: short leases, and retries within a second.

python -m tests.delivery.worker_process URL HOME LEASE_SECONDS TOTAL_SECONDS
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from pipelines.delivery import retry
from pipelines.delivery.worker import Worker, stay
from pipelines.storage.control import open_control
from pipelines.storage.control.cipher import installation_cipher

DELAYS = (0.1, 0.2, 0.3, *[0.5] * 40)


def started(url: str, home: Path, lease: int, total: float) -> subprocess.Popen[bytes]:
    """The process; it takes what is due of ``acme`` until SIGTERM."""
    return subprocess.Popen([sys.executable, "-m", __name__, url, str(home), str(lease), str(total)])


def main(url: str, home: str, lease: str, total: str) -> None:
    retry.DELAYS = DELAYS  # type: ignore[assignment]
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    worker = Worker(
        open_control(url),
        installation_cipher(Path(home), None),
        {"acme": "murmuration.example"},
        lambda: datetime.now(UTC),
        total_seconds=float(total),
        lease_seconds=int(lease),
    )
    stay(worker, stopping.is_set, lambda: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
