"""The quality report and the metrics as somebody meets them: the asset, `rrr quality`, `rrr metrics`, and the exporter that is scraped."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rrr_assets import cli
from rrr_assets.definitions import build_defs
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import QUIET, execute
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "rrr_assets.cli")
BTC = "binance:BTCUSDT"


@pytest.fixture(scope="module")
def judged(instance: dg.DagsterInstance) -> dg.DagsterInstance:
    """Two days of an instrument that were judged, one of them degraded, and one gap."""
    execute(
        "insert into instruments (instrument, venue, symbol, contract_type, price_scale, size_scale, valid_from)"
        " values (%s, 'binance', 'BTCUSDT', 'spot', 8, 8, now())",
        BTC,
    )
    for days, status, reasons in ((1, "available", []), (2, "degraded", ["5 | ids <b> are missing"])):
        execute(
            "insert into quality_days"
            " (instrument, day, status, row_count, completeness, open_gaps, findings, anomalies, reasons, computed_at)"
            " values (%s, current_date - %s::int, %s, 10, %s, 0, 0, 0, %s, now())",
            BTC, days, status, 1 if status == "available" else 0.5, reasons,
        )  # fmt: skip
    execute(
        "insert into gaps (instrument, stream, kind, from_time, to_time, cause, state, first_seen, changed_at, evidence)"
        " values (%s, 'trades', 'interval', now() - interval '1 day', now(), 'feed', 'open', now(), now(), '{}')",
        BTC,
    )
    execute("insert into quality_runs (kind, started_at, finished_at) values ('recent', now(), now()), ('daily', now(), now())")
    return instance


def test_the_asset_shows_the_report_and_names_its_page(judged: dg.DagsterInstance) -> None:
    done = build_defs().resolve_job_def("report_quality").execute_in_process(instance=judged, run_config=QUIET)
    [event] = done.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert (metadata["days_available"].value, metadata["days_degraded"].value, metadata["open_gaps"].value) == (1, 1, 1)
    assert metadata["heat_map"].value.startswith("![status by instrument and day](data:image/png;base64,iVBOR")
    told = metadata["report"].value
    # A reason is text: it ends no cell and opens no element.
    assert "| degraded | 5 &#124; ids &lt;b> are missing |" in told
    assert f"| {BTC} | 75 % (250x burnt) |" in told
    page = Path(metadata["page"].value)
    assert page == Home.current().root / "quality" / "quality.html"
    assert "5 | ids &lt;b&gt; are missing" in page.read_text("utf-8")
    # Pages of other tests may lie there; what is only half written does not.
    assert {path.suffix for path in page.parent.iterdir()} == {".html"}


def test_the_command_line_tells_the_same_in_every_form(judged: dg.DagsterInstance, tmp_path: Path) -> None:
    assert judged
    page = tmp_path / "new" / "page.html"
    done = rrr("quality", "--json", "--html", page)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["statuses"] == {"available": 1, "degraded": 1, "pending": 0, "missing": 0}
    assert told["notices"] == []
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert done.stderr == f"the page is in {page}\n"


def test_a_person_sees_a_sign_for_each_day(
    judged: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert judged
    monkeypatch.setattr(sys, "argv", ["rrr", "quality", "--instrument", BTC])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    shown = capfd.readouterr().out
    assert re.search(rf"^{BTC}  ·+!✓$", shown, re.MULTILINE)
    assert "open gaps 1" in shown


@pytest.mark.parametrize(
    ("words", "status", "remedy"),
    [
        (("--instrument", "binance:BTCUSDC"), 1, "Did you mean binance:BTCUSDT"),
        (("--start", "2024-01-02", "--end", "2024-01-01"), 1, "Let --end lie after --start"),
        (("--start", "yesterday"), 2, "is no time"),
        (("--html", "/proc/none/page.html"), 1, "Choose another file"),
    ],
)
def test_wrong_words_are_told(
    judged: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    status: int,
    remedy: str,
) -> None:
    assert judged
    monkeypatch.setattr(sys, "argv", ["rrr", "quality", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capfd.readouterr().err
    assert ended.value.code == status
    assert remedy in " ".join(said.replace("│", " ").split())
    assert "Traceback" not in said


def test_metrics_tell_of_runs_and_daemons(judged: dg.DagsterInstance) -> None:
    assert judged
    done = rrr("metrics")
    assert done.returncode == 0, done.stderr
    found = {sample.name + json.dumps(sample.labels, sort_keys=True): sample.value for sample in samples(done.stdout)}
    assert found["rrr_up{}"] == 1
    assert found['rrr_collector_up{"collector": "dagster"}'] == 1
    assert found['rrr_dagster_job_recent_runs{"job": "report_quality", "status": "SUCCESS"}'] >= 1
    assert 0 < found['rrr_dagster_job_last_duration_seconds{"job": "report_quality"}'] < 300
    assert abs(time.time() - found['rrr_dagster_job_last_success_timestamp_seconds{"job": "report_quality"}']) < 600
    assert found['rrr_dagster_runs_active{"status": "QUEUED"}'] == 0
    assert found['rrr_gaps{"cause": "feed", "state": "open"}'] == 1


def samples(text: str) -> Iterator[Any]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def test_a_scrape_goes_on_where_the_database_is_down(judged: dg.DagsterInstance, tmp_path: Path) -> None:
    """The exporter answers with 200 in both cases, and starts no server of its own."""
    assert judged
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # A home without a server: as after `rrr down`.
    down = {**os.environ, "RRR_HOME": str(tmp_path / "down")}
    server = subprocess.Popen([*COMMAND, "metrics", "--serve", "--port", str(port)], cwd=ROOT, env=down)
    try:
        text = scrape(port, server)
        assert {sample.name: sample.value for sample in samples(text)}["rrr_up"] == 0
        assert "rrr_disk_free_bytes{" in text
        assert not (tmp_path / "down" / "server.json").exists()
        taken = rrr("metrics", "--serve", "--port", port)
        assert taken.returncode == 1
        assert "Give another --host or --port" in taken.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0


def scrape(port: int, server: subprocess.Popen[bytes]) -> str:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                assert answer.status == 200
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None
            time.sleep(0.1)
    pytest.fail("the exporter does not answer")
