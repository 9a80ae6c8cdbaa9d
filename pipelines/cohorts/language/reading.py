"""Files read into definitions with every mistake that they have, so that an author sees all of them at once.

``signals.definitions.load_all`` reads the same files for a run and stops at the first mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipelines.cohorts.language.check import check, signal_states
from pipelines.cohorts.language.mistakes import mistakes
from pipelines.cohorts.language.problems import Problem, nearest
from pipelines.cohorts.language.rules import Cohort
from pipelines.config import Tenant, load_yaml
from pipelines.signals.catalogue import SHIPPED as SIGNALS
from pipelines.signals.catalogue import Signal, signals
from pipelines.signals.units import parse

SHIPPED = Path(__file__).parents[1] / "catalogue"


def shipped_files() -> list[Path]:
    """Files of the catalogue, sorted."""
    return sorted(SHIPPED.glob("*.yaml"))


def read(files: Iterable[Path]) -> tuple[dict[str, Cohort], list[Problem]]:
    """Definitions by id and the problems of the files; a later file replaces an earlier one of the same id."""
    found: dict[str, Cohort] = {}
    problems: list[Problem] = []
    for file in files:
        cohort, wrong = _one(file)
        problems += wrong
        if cohort is not None:
            found[cohort.id] = cohort
    return found, problems


def overridden(cohorts: Mapping[str, Cohort], tenant: Tenant) -> tuple[dict[str, Cohort], list[Problem]]:
    """Definitions with the tenant's parameters, and the problems of those; names of other stages are left alone."""
    file = str(tenant.folder / "tenant.yaml")
    found = dict(cohorts)
    problems: list[Problem] = []
    for key, changes in sorted(tenant.config.parameters.items()):
        if key not in found:
            continue
        params = dict(found[key].params)
        for name, value in changes.items():
            wrong = _override(cohorts[key], name, value)
            if wrong:
                problems.append(Problem(file, f"parameters.{key}.{name}", *wrong))
            else:
                params[name] = params[name].model_copy(update={"value": value})
        found[key] = found[key].model_copy(update={"params": params})
    return found, problems


def states(tenant: Tenant | None) -> dict[str, tuple[str, ...]]:
    """States by signal id, of the tenant's signals or of the catalogue's.

    Raises:
        UsageError: a signal file or an override is wrong.
    """
    if tenant is not None:
        return signal_states(signals(tenant))
    shipped = [load_yaml(file, Signal) for file in sorted(SIGNALS.glob("*.yaml"))]
    return signal_states({signal.id: signal for signal in shipped})


def validate(tenant: Tenant | None, files: Iterable[Path] = ()) -> tuple[dict[str, Cohort], list[Problem]]:
    """The catalogue, a tenant's own cohorts and some more files, as they would be used together, and what is wrong.

    Args:
        tenant: whose files and parameters count; the catalogue alone where there is none.
        files: further definitions, which replace those of the same id.

    Returns:
        Definitions by id, without those that cannot be read, and all problems, sorted by file.
    """
    own = sorted((tenant.folder / "cohorts").glob("*.yaml")) if tenant else []
    listed = [*shipped_files(), *own, *files]
    found, problems = read(listed)
    if tenant:
        found, wrong = overridden(found, tenant)
        problems += wrong
    # What refers to a file that cannot be read is not wrong by itself.
    unread = {f"{file.stem!r} is not a cohort" for file in listed if file.stem not in found}
    problems += [each for each in check(found, states(tenant)) if each.problem not in unread]
    return dict(sorted(found.items())), sorted(problems, key=lambda each: each.file)


def _override(cohort: Cohort, name: str, value: Any) -> tuple[str, str] | None:
    if name not in cohort.params:
        return "there is no such parameter", nearest(name, cohort.params)
    try:
        parse(value, cohort.params[name].unit)
    except ValueError as error:
        problem, _, fix = str(error).partition("; ")
        return problem, fix or "correct it"
    return None


def _one(file: Path) -> tuple[Cohort | None, list[Problem]]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return None, [Problem(str(file), "(top)", f"cannot be read: {type(error).__name__}", "name a YAML file")]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else "(top)"
        return None, [Problem(str(file), place, f"is not YAML: {getattr(error, 'problem', error)}", "correct the line")]
    if not isinstance(data, dict):
        return None, [Problem(str(file), "(top)", "holds no definition", "begin with id:")]
    problems = _references(file, data)
    try:
        cohort = Cohort.model_validate(data)
    except ValidationError as error:
        found = mistakes(str(file), data, error)
        return None, problems + [each for each in found if not each.problem.endswith("is not a parameter")]
    cohort._file = file
    if cohort.id != file.stem:
        problems.append(Problem(str(file), "id", f"is {cohort.id!r} but the file is {file.stem!r}", "make them equal"))
    return cohort, problems


def _references(file: Path, data: Mapping[str, Any]) -> list[Problem]:
    """Names of parameters that there are not, each with its place."""
    given = data.get("params")
    params = [str(name) for name in given] if isinstance(given, dict) else []
    rest = {key: part for key, part in data.items() if key not in ("params", "description")}
    return [
        Problem(str(file), path, f"{name} is not a parameter", _parameter(name, params))
        for path, name in _texts(rest, "")
        if name.startswith("$") and name[1:] not in params
    ]


def _parameter(name: str, params: list[str]) -> str:
    way = nearest(name[1:], params) if params else ""
    return f"did you mean ${way[14:-2]}?" if way.startswith("did") else f"add {name[1:]} to params"


def _texts(data: Any, path: str) -> Iterable[tuple[str, str]]:
    if isinstance(data, dict | list):
        for key, part in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _texts(part, f"{path}.{key}" if path else str(key))
    elif isinstance(data, str):
        yield path, data
