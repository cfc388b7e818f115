"""The UI: how fast the web server answers what its pages ask most, against the same server on a project that is all but empty.

The queries are those behind the asset graph, an asset's page and its partitions, cut to their main fields.
"""

import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from rrr_assets_tests.bench import baseline_empty_project
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.bench.ground import interpreter_environment

_START_SECONDS = 180
_REQUESTS = 30
_WARM_UP = 5

_GRAPH = """
query Graph {
  assetNodes { id groupName isPartitioned computeKind owners { __typename } kinds assetKey { path }
    dependencyKeys { path } dependedByKeys { path } hasAssetChecks tags { key value } } }
"""
_DETAILS = """
query Details($path: [String!]!) {
  assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
    id description opNames jobNames metadataEntries { label } partitionDefinition { description }
    assetMaterializations(limit: 10) { runId timestamp partition metadataEntries { label } } } } }
"""
_PARTITIONS = """
query Partitions($path: [String!]!) {
  assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
    id partitionStats { numMaterialized numPartitions numFailed numMaterializing }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } } } } }
"""
_QUERIES = {"asset graph": _GRAPH, "asset details": _DETAILS, "asset partitions": _PARTITIONS}


def measure() -> list[Figure]:
    """Medians and 95th percentiles of 30 requests each, to both servers in turns."""
    from rrr_assets.resources.dagster_home import prepare_dagster_home

    ours_home = prepare_dagster_home()
    with ExitStack() as running:
        empty_home = Path(running.enter_context(tempfile.TemporaryDirectory()))
        baseline = [f"--python-file={baseline_empty_project.__file__}"]
        ours = running.enter_context(_server(ours_home, ["--module-name=rrr_assets.definitions"])), ["raw_trades"]
        theirs = running.enter_context(_server(empty_home, baseline)), ["nothing"]
        return [_compare(name, query, ours, theirs) for name, query in _QUERIES.items()]


def _compare(name: str, query: str, ours: tuple[str, list[str]], theirs: tuple[str, list[str]]) -> Figure:
    seconds: dict[str, list[float]] = {ours[0]: [], theirs[0]: []}
    for number in range(_WARM_UP + _REQUESTS):
        for url, path in (ours, theirs) if number % 2 else (theirs, ours):
            begun = perf_counter()
            _ask(url, query, path)
            if number >= _WARM_UP:
                seconds[url].append(perf_counter() - begun)
    mine, base = seconds[ours[0]], seconds[theirs[0]]
    details = {
        "ours ms": f"{statistics.median(mine) * 1000:.1f} / p95 {_p95(mine) * 1000:.1f}",
        "empty project ms": f"{statistics.median(base) * 1000:.1f} / p95 {_p95(base) * 1000:.1f}",
        "p95 ratio": round(_p95(mine) / _p95(base), 2),
    }
    ratio = round(statistics.median(mine) / statistics.median(base), 2)
    return Figure(f"ui {name}", ratio, "x empty", target=1.3, is_at_most=True, details=details)


@contextmanager
def _server(home: Path, where: list[str]) -> Iterator[str]:
    """A web server on a free port; yields the address of its GraphQL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "--host=127.0.0.1", f"--port={port}", *where]
    environment = {**interpreter_environment(), "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}/graphql"
            _wait_until_loaded(url, process)
            yield url
        finally:
            process.terminate()


def _wait_until_loaded(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if _ask(url, "{ assetNodes { id } }", [])["assetNodes"]:
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise RuntimeError(f"no web server answers at {url}")


def _ask(url: str, query: str, path: list[str]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": {"path": path} if "$path" in query else {}}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  # our own server
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  # our own server
        told = json.load(answer)
    if told.get("errors"):
        raise RuntimeError(told["errors"][0]["message"])
    data: dict[str, Any] = told["data"]
    return data


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]
