"""What an event is made of: the envelope's attributes, and the fields of a ``data`` object with their JSON types.

Which events there are is said in the modules beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default
from typing import Any, Literal

JsonType = Literal["string", "integer", "number", "boolean", "array", "object"]

SPECVERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"
MAX_BYTES = 64 * 1024
#: Above this an event is sent with a warning: it is likely to hold more than anybody needs.
LARGE_BYTES = 20_000

#: Envelope attributes in the order in which they are written.
ENVELOPE: tuple[str, ...] = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "recordedtime",
    "datacontenttype",
    "dataschema",
    "partitionkey",
    "sequence",
    "timestamp",
    "data",
)


@dataclass(frozen=True)
class Field:
    """One field of a ``data`` object.

    Attributes:
        name: key in the object.
        type: JSON type.
        required: always present.
        nullable: may be present as null.
        format: JSON Schema format of a string.
        description: one sentence, with the unit.
        enum: the only values, where they are few.
    """

    name: str
    type: JsonType
    required: bool = False
    nullable: bool = False
    format: str | None = None
    description: str = ""
    enum: tuple[str, ...] = ()


@dataclass(frozen=True)
class EventType:
    """A kind of event with the contract of its data.

    Attributes:
        name: the envelope's ``type``.
        fields: of ``data``; what is not listed may be ignored by a reader.
        description: when it is sent.
        subject: an example of the envelope's ``subject``.
        example: an example of ``data``.
        version: ``major.minor`` of the contract.
        retracts: the type that it takes back, for a retraction.
        operator: about delivery itself; only sent where an endpoint asks for it by name or group.
    """

    name: str
    fields: tuple[Field, ...]
    description: str
    subject: str
    example: Mapping[str, Any] = default(default_factory=dict)
    version: str = "1.0"
    retracts: str | None = None
    operator: bool = False
