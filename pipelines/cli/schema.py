"""``murmur schema``: hold the contracts to what was published, publish a version, write their pages and tables."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pipelines.cli.output import emit, json_option, note, table
from schemas.compatibility import Finding, check
from schemas.exports import CSV_FILES, DATASETS
from schemas.versions import LEDGER, append, promises, published
from schemas.warehouses import Dialect, external_table

#: What publishing a version resolves; everything else has to be taken back first.
PUBLISHABLE = "unpublished"

_ledger = click.option(
    "--ledger", type=click.Path(path_type=Path, file_okay=False), default=LEDGER, help="Folder of published versions."
)


@click.group()
def schema() -> None:
    """Contracts of datasets, files and events: check, publish, list, document, read from a warehouse."""


@schema.command("check")
@_ledger
@json_option
def check_contracts(ledger: Path, as_json: bool) -> int:
    """Compare the contracts with what was published; exit 1 with what would break whom."""
    findings = check(promises(), published(ledger))
    count = len(promises())
    emit(
        {"ok": not findings, "contracts": count, "findings": [asdict(finding) for finding in findings]},
        as_json,
        lambda: _told(findings) if findings else click.echo(f"{count} contracts are as they were published"),
    )
    return 1 if findings else 0


def _told(findings: list[Finding]) -> None:
    for finding in findings:
        where = f"{finding.name}.{finding.column}" if finding.column else finding.name
        click.echo(f"{where}: {finding.change}: {finding.says}")
        by_effect: dict[str, list[str]] = {}
        for reader, effect in finding.readers.items():
            by_effect.setdefault(effect, []).append(reader)
        for effect, readers in by_effect.items():
            click.echo(f"    {', '.join(readers)}: {effect}")


@schema.command("publish")
@_ledger
@json_option
def publish_contracts(ledger: Path, as_json: bool) -> int:
    """Write versions that are new into the ledger; nothing when a contract breaks what was published."""
    findings = check(promises(), published(ledger))
    broken = [finding for finding in findings if finding.change != PUBLISHABLE]
    if broken:
        _told(broken)
        note("nothing was published")
        return 1
    names = [finding.name for finding in findings]
    rows = [{"name": name, "version": promises()[name].version, "path": _written(name, ledger)} for name in names]
    emit(rows, as_json, lambda: table(["name", "version", "path"], [list(row.values()) for row in rows]))
    if not rows:
        note("every contract is published already")
    return 0


def _written(name: str, ledger: Path) -> str:
    path = append(promises()[name], ledger)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@schema.command("list")
@_ledger
@json_option
def list_contracts(ledger: Path, as_json: bool) -> None:
    """Every contract with its form, newest version and number of columns."""
    rows: list[dict[str, object]] = []
    shown = []
    for name, versions in published(ledger).items():
        newest = versions[-1]
        numbers = [promise.version for promise in versions]
        rows.append(
            {
                "name": name,
                "form": newest.form,
                "versions": numbers,
                "columns": len(newest.columns),
                "key": list(newest.key),
            }
        )
        shown.append([name, newest.form, ", ".join(numbers), len(newest.columns), ", ".join(newest.key)])
    emit(rows, as_json, lambda: table(["name", "form", "versions", "columns", "key"], shown))


@schema.command("docs")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the pages.")
@click.option("--examples", is_flag=True, help="Simulate a small retailer for new example rows (half a minute).")
@json_option
def write_docs(out: Path, examples: bool, as_json: bool) -> None:
    """Write the data dictionary and a JSON Schema of every dataset and file, with example rows."""
    from pipelines.cli.schema_pages import known_examples, made_examples, write_pages

    written = write_pages(out, made_examples() if examples else known_examples(out))
    names = [str(path) for path in written]
    emit(names, as_json, lambda: click.echo(f"{len(names)} pages below {out}"))


@schema.command("sql")
@click.argument("name", type=click.Choice([*DATASETS, *CSV_FILES]), metavar="NAME")
@click.option("--dialect", type=click.Choice(["snowflake", "bigquery"]), required=True, help="Of the warehouse.")
@click.option("--location", required=True, help="Folder that ends in /v1: a stage of Snowflake, a URL for BigQuery.")
@click.option("--connection", help="By which BigQuery reads another cloud.")
def write_sql(name: str, dialect: Dialect, location: str, connection: str | None) -> None:
    """Print the statement that makes an external table over a dataset or file."""
    click.echo(f"{external_table(name, dialect, location, connection)};")
