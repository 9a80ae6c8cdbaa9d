"""The platforms by the ``kind`` of a destination."""

from __future__ import annotations

from pipelines.delivery.cdp.hub import Hub
from pipelines.delivery.cdp.mparticle import MPARTICLE
from pipelines.delivery.cdp.segment import RUDDERSTACK, SEGMENT
from pipelines.delivery.cdp.tealium import TEALIUM

HUBS: dict[str, Hub] = {hub.name: hub for hub in (SEGMENT, RUDDERSTACK, MPARTICLE, TEALIUM)}
