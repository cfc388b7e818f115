"""Feast's own feature server over the platform's store.

Belongs here: what of it is served, and how it fails. Does not: what is online (online.py), starting it (cli/features.py). Importing it
costs what importing Feast costs.

Of its addresses only reading is left: it has no authentication, and what is written is written by the asset. Its answer gets the age of
each entity's row beside the times that are in it.
"""

import json
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from feast import FeatureStore
from feast.errors import FeastError
from feast.feature_server import GetOnlineFeaturesRequest, get_app

from rrr_assets.features.online import OnlineStoreUnreachable

READ: Final = "/get-online-features"
_SERVED: Final = (READ, "/health")


def served(store: FeatureStore) -> FastAPI:
    """The application: POST /get-online-features, GET /health."""
    # The registry is read when it begins, and no more: it changes with the code, and values are served while the database is down.
    made: FastAPI = get_app(store, registry_ttl_sec=0)
    endpoints = {route.path: route.endpoint for route in made.routes if getattr(route, "path", None) in _SERVED}  # type: ignore[attr-defined]  # those have
    made.router.routes.clear()
    made.add_api_route("/health", endpoints["/health"], methods=["GET"])
    made.add_api_route(READ, _with_ages(endpoints[READ]), methods=["POST"], response_model=None)
    made.add_exception_handler(OnlineStoreUnreachable, _refused(503))
    # What is asked for that is not there; Feast says it in one of these.
    for kind in (FeastError, KeyError, ValueError):
        made.add_exception_handler(kind, _refused(422))
    return made


def _with_ages(answer: Callable[[GetOnlineFeaturesRequest], Awaitable[Any]]) -> Callable[[GetOnlineFeaturesRequest], Awaitable[Response]]:
    async def get_online_features(request: GetOnlineFeaturesRequest) -> Response:
        found = json.loads((await answer(request)).body)
        now = time.time()
        rows = zip(*(vector["event_timestamps"] for vector in found["results"] if "event_timestamps" in vector), strict=True)
        # What a transformation made has no time of its own.
        oldest = [min((at for at in map(_seconds, row) if at), default=None) for row in rows]
        found["metadata"]["age_seconds"] = [None if at is None else max(round(now - at, 3), 0.0) for at in oldest]
        return JSONResponse(found)

    return get_online_features


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _refused(status: int) -> Callable[[Request, Exception], Response]:
    def handler(request: Request, error: Exception) -> Response:  # noqa: ARG001  # FastAPI's signature
        return JSONResponse({"detail": str(error), "error_type": type(error).__name__}, status)

    return handler
