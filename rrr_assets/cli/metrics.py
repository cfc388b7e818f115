"""The command for the platform's own metrics: printed once, or served for Prometheus.

Belongs here: metrics. Does not: what they are (quality/metrics.py).
"""

import signal
import sys
from typing import Annotated

import typer

Serve = Annotated[bool, typer.Option("--serve", help="Answer Prometheus' scrapes until it is ended.")]
Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where it listens; nobody has to say who he is there.")]
Port = Annotated[int, typer.Option("--port", min=1, max=65_535, help="On what port.")]


def register(app: typer.Typer) -> None:
    app.command()(metrics)


def metrics(serve: Serve = False, host: Host = "127.0.0.1", port: Port = 9187) -> None:
    """Print the platform's own metrics in Prometheus' format: what waits, what is late, what is broken."""
    from rrr_assets.quality import metrics as platform

    if not serve:
        sys.stdout.write(platform.exposition())
        return
    from rrr_assets.cli.failures import CommandFailed
    from rrr_assets.cli.output import note

    try:
        server, thread = platform.serve(host, port)
    except OSError as error:
        raise CommandFailed(f"{host}:{port} cannot be listened on ({error.strerror}). Give another --host or --port") from error

    def end(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    note(f"metrics are at http://{host}:{port}/metrics")
    try:
        thread.join()
    except KeyboardInterrupt:
        server.shutdown()
        server.server_close()
