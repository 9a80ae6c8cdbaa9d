"""Run a job over a range of days in this process, with a progress bar: a backfill without the daemon.

Everything is recorded in the Dagster instance, so that the UI shows the same run.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assets.definitions import build_defs
from assets.jobs import job_name
from assets.partitions import range_tags
from assets.resources import Murmuration
from pipelines.config import Workspace
from pipelines.errors import MurmurError

POLL_SECONDS = 0.3
#: Events go to the instance; a console full of them would hide the progress bar.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def instance_of(workspace: Workspace, settings: Path) -> dg.DagsterInstance:
    """The instance under ``<home>/dagster``, with the project's settings."""
    folder = workspace.home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_bytes(settings.read_bytes())
    return dg.DagsterInstance.from_config(str(folder))


def run_job(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    tenant_id: str,
    purpose: str,
    days: tuple[date, date] | None,
    console: Console,
) -> dg.ExecuteInProcessResult:
    """Execute one of a tenant's jobs and show its steps as they finish.

    Args:
        workspace: whose definitions to load.
        instance: where runs and events are recorded.
        tenant_id: the tenant.
        purpose: suffix of the job, such as ``daily`` or ``deliver``.
        days: first and last partition; None for a job without partitions.
        console: where the progress bar is drawn.

    Raises:
        MurmurError: a step or a blocking check failed; the message names it.
    """
    murmuration = Murmuration(home=str(workspace.home), tenants=str(workspace.tenants))
    job = build_defs({"murmuration": murmuration}).resolve_job_def(job_name(tenant_id, purpose))
    run_id = str(uuid.uuid4())
    tags = range_tags(*days) if days else {}
    outcome: dict[str, dg.ExecuteInProcessResult] = {}

    def work() -> None:
        outcome["result"] = job.execute_in_process(
            run_config=QUIET, instance=instance, run_id=run_id, tags=tags, raise_on_error=False
        )

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    _follow(thread, instance, run_id, sum(1 for _ in job.nodes), console)
    result = outcome.get("result")
    if result is None or not result.success:
        raise MurmurError(f"job {job.name} failed: {_failures(instance, run_id)}; see the run in the UI: make ui")
    return result


def _follow(thread: threading.Thread, instance: dg.DagsterInstance, run_id: str, total: int, console: Console) -> None:
    columns = (TextColumn("  {task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("starting", total=total)
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            state = _steps(instance, run_id)
            done = sum(1 for finished in state.values() if finished)
            running = [name for name, finished in state.items() if not finished]
            progress.update(task, completed=done, description=(running or ["finishing"])[-1])
        progress.update(task, completed=total, description="done")


def _steps(instance: dg.DagsterInstance, run_id: str) -> Mapping[str, bool]:
    """Steps that have started, by name, and whether they have ended."""
    started = {dg.DagsterEventType.STEP_START}
    ended = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_FAILURE}
    events = instance.all_logs(run_id, of_type=started | ended)
    state: dict[str, bool] = {}
    for event in events:
        if event.step_key and event.dagster_event:
            finished = event.dagster_event.event_type in ended
            state[event.step_key] = state.get(event.step_key, False) or finished
    return state


def _failures(instance: dg.DagsterInstance, run_id: str) -> str:
    failed = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return ", ".join(event.step_key or "?" for event in failed) or "it did not start"
