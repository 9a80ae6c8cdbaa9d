"""Events about delivery itself, for whoever operates it: endpoints that stop and come back, deliveries given up.

They name the host of an endpoint and never its URL, since a path or a query may hold a token.
"""

from __future__ import annotations

from schemas.events.model import EventType, Field

DISABLED_REASONS = ("gone", "failing", "by hand", "declared", "suspended", "credentials", "source_off")
EXHAUSTED_REASONS = ("refused", "deadline", "unsendable")

_ENDPOINT = (
    Field("endpoint_id", "string", required=True, description="Endpoint that the event is about."),
    Field("host", "string", required=True, description="Host of its URL."),
    Field("description", "string", description="What people call it."),
)
_LAST = (
    Field("last_status", "integer", description="HTTP status of the last answer, if there was one."),
    Field("last_error", "string", description="Class of the last failure, such as timeout or status_500."),
)
_SHOWN = {"endpoint_id": "ep_5d0b3c6a1f2e4d7c8b9a0e1f", "host": "example.com", "description": "shop backend"}
_SUBJECT = "endpoint:ep_5d0b3c6a1f2e4d7c8b9a0e1f"

OPERATOR_EVENTS: tuple[EventType, ...] = (
    EventType(
        "endpoint.disabled",
        (
            *_ENDPOINT,
            Field(
                "reason",
                "string",
                required=True,
                enum=DISABLED_REASONS,
                description="gone: it answered 410; failing: it failed for too long; credentials: a platform does not "
                "take them; source_off: it has no such source, or it is off; the others: somebody asked.",
            ),
            *_LAST,
            Field("waiting", "integer", description="Deliveries that are kept until it is enabled."),
        ),
        "Nothing is sent to an endpoint any more, until it is enabled.",
        _SUBJECT,
        {**_SHOWN, "reason": "gone", "last_status": 410, "last_error": "status_410", "waiting": 12},
        operator=True,
        version="1.1",
    ),
    EventType(
        "endpoint.recovered",
        (
            *_ENDPOINT,
            Field("failing_since", "string", required=True, format="date-time", description="First of the failures."),
            Field("failures", "integer", required=True, description="Attempts that failed in between."),
            Field("waiting", "integer", description="Deliveries that are sent now."),
        ),
        "An endpoint that failed, or was disabled, takes events again.",
        _SUBJECT,
        {**_SHOWN, "failing_since": "2026-01-05T09:12:30.000Z", "failures": 9, "waiting": 140},
        operator=True,
    ),
    EventType(
        "delivery.exhausted",
        (
            *_ENDPOINT,
            Field("delivery_id", "string", required=True, description="Replay it with: murmur webhook replay."),
            Field("event_id", "string", required=True, description="Event that was not delivered."),
            Field("event_type", "string", required=True, description="Its type."),
            Field(
                "reason",
                "string",
                required=True,
                enum=EXHAUSTED_REASONS,
                description="refused: an answer that no retry changes; deadline: 24 hours are over; unsendable: it does"
                " not fit into a request, or the secret does not open.",
            ),
            Field("attempts", "integer", required=True, description="How often it was tried."),
            Field("first_attempt_at", "string", format="date-time", description="First try."),
            *_LAST,
        ),
        "A delivery was given up: it is a dead letter, and can be replayed.",
        _SUBJECT,
        {
            **_SHOWN,
            "delivery_id": "dl_7c1e9a4b2d3f5e6a8b0c1d2e",
            "event_id": "5f1d7a84c3b2906e1d4f8a7b6c5e3d21",
            "event_type": "cohort.entered",
            "reason": "deadline",
            "attempts": 11,
            "first_attempt_at": "2026-01-05T09:12:30.000Z",
            "last_status": 503,
            "last_error": "status_503",
        },
        operator=True,
    ),
    EventType(
        "endpoint.test",
        (
            Field("endpoint_id", "string", required=True, description="Endpoint that is tested."),
            Field("reason", "string", description="Why."),
        ),
        "Somebody asked for a test of an endpoint; sent to no other.",
        _SUBJECT,
        {"endpoint_id": _SHOWN["endpoint_id"], "reason": "test"},
        operator=True,
    ),
)
