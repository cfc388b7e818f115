"""The daemon as it runs in production, for tests and the benchmark: started, waited for, and what it heals by itself.

Belongs here: `dagster-daemon run` with the code server that it starts. Does not: what is expected of it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import rows, simulated
from rrr_assets_tests.misbehaving import rows_of, without
from rrr_assets_tests.venue_server import archive_path, serving

ROOT = Path(__file__).resolve().parents[1]
LONGEST_SECONDS = 240


class TooLate(AssertionError):
    """What was waited for did not come."""


@contextmanager
def daemon(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster-daemon run`, with the code server that it starts; killed as a whole at the end, as by a power cut."""
    program = shutil.which("dagster-daemon", path=str(Path(sys.executable).parent)) or "dagster-daemon"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with (home.logs / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "run", "-w", str(ROOT / "workspace.yaml")],
            cwd=home.dagster,
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(what: str, is_so: Callable[[], bool], home: Home) -> None:
    """Look twice a second whether something is so.

    Raises:
        TooLate: it is not so after `LONGEST_SECONDS`; says how the daemon's log ends.
    """
    end = time.monotonic() + LONGEST_SECONDS
    while not is_so():
        if time.monotonic() > end:
            raise TooLate(f"not within {LONGEST_SECONDS} s: {what}\n{_log(home)[-4000:]}")
        time.sleep(0.5)


@dataclass(frozen=True)
class HealedByDaemon:
    """A gap that the daemon found and healed: seconds from the load that left it to the load that closed it, and to whole bars.

    On the way: until the run that left it had ended, until the sensor asked for a run, until that ran, and until it had fetched.
    """

    seconds: float
    to_bars_seconds: float
    ended_seconds: float
    asked_seconds: float
    begun_seconds: float
    attempts: int


def healed_by_daemon(home: Home, folder: Path, day: date, trades: int) -> HealedByDaemon:
    """Ingest a day with a gap while a daemon runs, and let it heal that from a server of this machine that has the whole day."""
    path = f"data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-{day}.zip"
    saved = {name: os.environ.get(name) for name in ("RRR_BINANCE_VISION_URL", "RRR_QUALITY_CONFIG", "NO_PROXY")}
    with serving() as venue:
        try:
            for file in simulated(folder, [day], trades):
                venue.files[archive_path(file)] = file.path.read_bytes()
            ids = [int(row[0]) for row in rows_of(venue.files[path])][trades // 3 : trades // 3 + 50]
            damaged = folder / "damaged" / path.rpartition("/")[2]
            damaged.parent.mkdir(parents=True)
            damaged.write_bytes(without(ids)(venue.files[path]))
            config = folder / "quality.json"
            config.write_text(json.dumps({"healing": {"sources": [{"name": "archive", "kind": "binance-vision"}]}}))
            os.environ |= {"RRR_BINANCE_VISION_URL": venue.url, "RRR_QUALITY_CONFIG": str(config), "NO_PROXY": "127.0.0.1"}
            begun = len(_log(home))
            with daemon(home):
                # The daemon's start is no part of it.
                wait_until("the sensor looks", lambda: "open_gaps" in _log(home)[begun:], home)
                words = [sys.executable, "-m", "rrr_assets.cli", "ingest", str(damaged), "--format", "binance-vision-trades"]
                subprocess.run(words, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
                wait_until("the gap is healed", lambda: _states(day) == {"healed"}, home)
                wait_until("the bars are whole", lambda: _incomplete(day) == 0, home)
                ended = time.time()
                wait_until("its run has ended", _is_idle, home)
        finally:
            for name, value in saved.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
    ((seconds, since),) = rows(
        "select extract(epoch from max(healed_at) - min(first_seen))::float, extract(epoch from min(first_seen))::float"
        " from gaps where kind = 'ids' and from_time::date = %s",
        day,
    )
    with dg.DagsterInstance.get() as instance:
        records = {record.dagster_run.job_name: record for record in reversed(instance.get_run_records(limit=20))}
    left, healed = records["venues_to_bars"], records["heal_gaps"]
    times = (left.end_time or since, healed.create_timestamp.timestamp(), healed.start_time or since)
    return HealedByDaemon(round(seconds, 1), round(ended - since, 1), *(round(at - since, 1) for at in times), _attempts(day))


def _is_idle() -> bool:
    with dg.DagsterInstance.get() as instance:
        return not instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED_STATUSES), limit=1)


def _log(home: Home) -> str:
    path = home.logs / "daemon.log"
    return path.read_text("utf-8", errors="replace") if path.exists() else ""


def _states(day: date) -> set[str]:
    return {state for (state,) in rows("select state from gaps where kind = 'ids' and from_time::date = %s", day)}


def _incomplete(day: date) -> int:
    return int(rows("select count(*) from bars_1m where bar_start::date = %s and not is_complete", day)[0][0])


def _attempts(day: date) -> int:
    statement = "select count(*) from gap_attempts as a join gaps as g using (gap_id) where a.outcome = 'healed' and g.from_time::date = %s"
    return int(rows(statement, day)[0][0])
