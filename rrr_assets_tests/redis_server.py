"""A Redis of the tests' own: a real server on this machine, with a password, as a single one or as a cluster of one node.

Belongs here: starting it, having it die, starting it again. Does not: what a test expects. It keeps nothing on a disk.
"""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

PASSWORD = "of,the=tests"  # of no server but these
_QUOTED = "of%2Cthe%3Dtests"


@dataclass
class RedisServer:
    """One server: its port is its own for as long as the tests run."""

    folder: Path
    port: int
    is_cluster: bool
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def url(self) -> str:
        """The address as the platform takes it."""
        return f"{'redis+cluster' if self.is_cluster else 'redis'}://:{_QUOTED}@127.0.0.1:{self.port}"

    def client(self) -> "redis.Redis[Any]":
        """A bare client, which waits for a server that is starting."""
        retry = Retry(ConstantBackoff(0.1), 300)
        errors: list[type[Exception]] = [redis.ConnectionError, redis.BusyLoadingError]
        return redis.Redis(port=self.port, password=PASSWORD, retry=retry, retry_on_error=errors)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--port", self.port, "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", "", "--appendonly", "no"]
        options += ["--dir", self.folder, "--daemonize", "no", "--logfile", self.folder / "redis.log"]
        options += ["--cluster-enabled", "yes", "--cluster-require-full-coverage", "yes"] if self.is_cluster else []
        self.process = subprocess.Popen(["redis-server", *map(str, options)])
        with self.client() as client:
            client.ping()
            if self.is_cluster:
                if client.execute_command("CLUSTER INFO")["cluster_slots_assigned"] == "0":
                    client.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
                while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                    time.sleep(0.05)

    def die(self) -> None:
        """Kill it; what it held is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def redis_server(folder: Path, *, is_cluster: bool = False) -> Iterator[RedisServer]:
    """A running server; tests are skipped where none is installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A cluster's nodes speak with each other at a port ten thousand above, which must be one.
    server = RedisServer(folder, port if port < 50_000 else port - 15_000, is_cluster)
    server.start()
    try:
        yield server
    finally:
        server.die()
