"""JSON Schema of a cohort file, from which editors complete and underline while one writes.

It comes from the models; the words of the vocabulary and the meaning of each key are added. What depends on several
places of a file, or on other files, is in ``check``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pipelines.cohorts.language import bounds, carts, rules, values
from pipelines.cohorts.language.rules import Cohort
from pipelines.cohorts.language.vocabulary import CUSTOMER, PRODUCT, VISITOR
from pipelines.signals.definitions import Definition, Param

DRAFT = "https://json-schema.org/draft/2020-12/schema"

_MODELS: Mapping[str, type[BaseModel]] = {
    name: model
    for module in (bounds, carts, rules, values)
    for name, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, BaseModel)
} | {"Param": Param}
#: Model -> keys that name a stream, or several.
_STREAMS = {
    "Count": ("count",),
    "Sum": ("of",),
    "Distinct": ("of",),
    "Extreme": ("of",),
    "Instant": ("first", "last"),
    "Since": ("since", "since_first"),
    "MedianGap": ("median_gap",),
    "Without": ("without", "after"),
    "Open": ("open",),
    "Cohort": ("until",),
}
_FIELDS = {
    "Sum": ("sum",),
    "Distinct": ("distinct",),
    "Extreme": ("min", "max", "avg"),
    "Then": ("same",),
    "Cohort": ("for_each",),
}
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def json_schema() -> dict[str, Any]:
    """The schema of ``cohorts/<id>.yaml``."""
    schema = Cohort.model_json_schema()
    models: dict[str, Any] = {"Cohort": schema, **schema["$defs"]}
    streams, fields = _streams(), _fields()
    for name, model in models.items():
        _describe(model, _MODELS.get(name))
        properties = model.get("properties", {})
        for key in _STREAMS.get(name, ()):
            _choose(properties[key], [*streams, *(["cart_emptied"] if name == "Cohort" else [])])
        for key in _FIELDS.get(name, ()):
            _choose(properties[key], fields)
        if name == "Step":
            _choose(properties["event"], [*streams, *PRODUCT])
        if "where" in properties:
            known = {"anyOf": [{"enum": fields}, {"pattern": r"^signal\.[a-z][a-z0-9_]*$"}]}
            properties["where"]["propertyNames"] = known
    return {"$schema": DRAFT, "title": "Cohort", **{key: part for key, part in schema.items() if key != "title"}}


def _streams() -> list[str]:
    return sorted({*VISITOR, *CUSTOMER})


def _fields() -> list[str]:
    return sorted(
        {field for each in (VISITOR, CUSTOMER, PRODUCT) for stream in each.values() for field in stream.fields}
    )


def _choose(schema: dict[str, Any], words: list[str]) -> None:
    """Let a text, a list of texts or a text that may be absent be one of some words."""
    for part in (schema, *schema.get("anyOf", ())):
        if part.get("type") == "string":
            part["enum"] = words
        elif part.get("type") == "array":
            part["items"] = {"type": "string", "enum": words}


def _describe(schema: dict[str, Any], model: type[BaseModel] | None) -> None:
    """Give a model and its keys what its docstring says of them."""
    text = inspect.getdoc(model) if model else None
    if not text or model is None:
        return
    summary, _, attributes = text.partition("Attributes:")
    schema["description"] = " ".join(summary.split())
    inherited = inspect.getdoc(Definition) if issubclass(model, Definition) else None
    for each in (attributes, inherited.partition("Attributes:")[2] if inherited else ""):
        for name, said in _ATTRIBUTE.findall(each):
            if name in schema["properties"]:
                schema["properties"][name].setdefault("description", " ".join(said.split()))
