"""Figures for Prometheus: requests, searches, jobs, hours.

With several workers each writes its own into a folder (see `serving`), and whoever is asked adds
them up. It knows nothing of what is counted.
"""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from earshot.server import keys, queue
from earshot.server.auth import identified
from earshot.server.errors import Refused
from earshot.server.keys import may
from earshot.server.service import Here

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the client library lets several processes keep their figures."""

REQUESTS = Counter("earshot_requests", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "earshot_request_seconds",
    "Seconds until a request was answered.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
JOBS = Gauge("earshot_jobs", "Jobs that have not ended.", ["state"], multiprocess_mode="mostrecent")
ENDED = Counter("earshot_jobs_ended", "Jobs that ended.", ["state"])
HEARD = Counter("earshot_heard_seconds", "Seconds of audio listened to.")

router = APIRouter(tags=["operation"])


async def _allowed(request: Request, service: Here) -> None:
    """Once there are keys, an admin's."""
    if await keys.any_made(service.store) and not may(await identified(request, service), "admin"):
        raise Refused(403, "metrics need a key of scope 'admin'")


@router.get("/metrics", summary="Metrics", response_class=Response)
async def metrics(service: Here, _: Annotated[None, Depends(_allowed)]) -> Response:
    """All figures in Prometheus's own form; once there are keys, for an admin's."""
    for state, count in (await queue.waiting(service.store)).items():
        JOBS.labels(state).set(count)
    registry: CollectorRegistry = REGISTRY
    if os.environ.get(FOLDER_VARIABLE):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
