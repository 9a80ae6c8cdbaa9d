"""Definition files: how they are read, overridden by a tenant, checked and hashed to a version.

Shared by signals and cohorts; what a rule may say is in the models that each stage gives.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from pipelines.config import Tenant, load_yaml
from pipelines.errors import UsageError
from pipelines.signals.units import Unit, parse


class Strict(BaseModel):
    """A part of a definition; keys it does not know are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Param(Strict):
    """A threshold that a tenant may change."""

    value: int | float | str
    unit: Unit
    description: str = ""

    @model_validator(mode="after")
    def _written_in_unit(self) -> Param:
        parse(self.value, self.unit)
        return self


Reference = Annotated[str, Field(pattern=r"^\$[a-z][a-z0-9_]*$", description="$name of a parameter")]


class Definition(BaseModel):
    """What every definition has: identity, words, parameters.

    Attributes:
        id: snake case; the file has the same name.
        subject: what it is about.
        description: one sentence for people.
        params: thresholds with units, overridable per tenant.
    """

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    subject: Literal["visitor", "customer", "product"]
    description: str
    params: dict[str, Param] = Field(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)

    def param(self, name: str) -> int:
        """The integer value of a parameter (see ``units.parse``); ``$name`` and ``name`` mean the same."""
        chosen = self.params[name.removeprefix("$")]
        return parse(chosen.value, chosen.unit)

    @property
    def definition_version(self) -> str:
        """First 12 hex digits of the sha256 of the resolved definition; words do not count."""
        data = self.model_dump(mode="json", exclude={"description": True, "params": True})
        data["params"] = {name: [self.param(name), self.params[name].unit] for name in sorted(self.params)}
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


AnyDefinition = TypeVar("AnyDefinition", bound=Definition)


def load_all(
    tenant: Tenant, model: type[AnyDefinition], shipped: Path, own: str, known_overrides: Iterable[str] = ()
) -> dict[str, AnyDefinition]:
    """Every definition of a tenant, by id in the order of ids.

    Args:
        tenant: whose files and parameter overrides apply.
        model: the definition model of the stage.
        shipped: folder of the catalogue.
        own: folder inside the tenant's, whose files replace or add to the catalogue.
        known_overrides: ids of other stages that ``parameters`` may also name.

    Raises:
        UsageError: a file or an override is wrong; the message names file, path and fix.
    """
    found: dict[str, AnyDefinition] = {}
    for file in [*sorted(shipped.glob("*.yaml")), *sorted((tenant.folder / own).glob("*.yaml"))]:
        definition = _read(file, model)
        if definition.id != file.stem:
            raise UsageError(f"{file}: id: is {definition.id!r} but the file is {file.stem!r}; make them equal")
        found[definition.id] = definition
    overrides = tenant.config.parameters
    unknown = sorted(set(overrides) - set(found) - set(known_overrides))
    if unknown:
        raise UsageError(
            f"{tenant.folder / 'tenant.yaml'}: parameters.{unknown[0]}: there is no such definition; "
            f"known: {', '.join(sorted({*found, *known_overrides}))}"
        )
    return {key: _overridden(found[key], overrides.get(key, {}), tenant) for key in sorted(found)}


def _read(file: Path, model: type[AnyDefinition]) -> AnyDefinition:
    stamp = file.stat()
    return _cached(file, stamp.st_mtime_ns, stamp.st_size, model).model_copy()  # type: ignore[return-value]


@cache
def _cached(file: Path, _changed: int, _size: int, model: type[Definition]) -> Definition:
    definition = load_yaml(file, model)
    definition._file = file
    return definition


def _overridden(definition: AnyDefinition, changes: Mapping[str, Any], tenant: Tenant) -> AnyDefinition:
    params = dict(definition.params)
    where = f"{tenant.folder / 'tenant.yaml'}: parameters.{definition.id}"
    for name, value in changes.items():
        if name not in params:
            raise UsageError(f"{where}.{name}: has no such parameter; it has: {', '.join(sorted(params)) or 'none'}")
        try:
            parse(value, params[name].unit)
        except ValueError as error:
            raise UsageError(f"{where}.{name}: {error}") from None
        params[name] = params[name].model_copy(update={"value": value})
    return definition.model_copy(update={"params": params}) if changes else definition
