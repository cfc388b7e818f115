"""What runs printed is in a bucket where one is named, and in Dagster's home where none is."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import dagster as dg
import pytest
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from moto.server import ThreadedMotoServer

from rrr_assets.resources.compute_logs import LogsUnusable, PlatformComputeLogs
from rrr_assets.resources.dagster_home import prepare_dagster_home
from rrr_assets.warehouse.home import Home

BUCKET = "logs-of-tests"


@dg.op
def speaks() -> None:
    sys.stdout.write("said in a run\n")


@dg.job(executor_def=dg.in_process_executor)
def speaking() -> None:
    speaks()


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    for name, value in {**told, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    yield f"http://{host}:{port}"
    server.stop()


def held(endpoint: str) -> dict[str, str]:
    bucket = boto3.resource("s3", endpoint_url=endpoint).Bucket(BUCKET)
    return {each.key: each.get()["Body"].read().decode() for each in bucket.objects.all()}


@pytest.mark.slow
def test_what_a_run_printed_is_in_the_bucket(empty_home: Home, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRR_COMPUTE_LOGS_URL", f"s3://{BUCKET}/desk/logs")
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
    prepare_dagster_home(empty_home)
    with dg.DagsterInstance.get() as instance:
        result = speaking.execute_in_process(instance=instance)
        assert result.success
        [captured] = [event.logs_captured_data for event in result.all_events if event.event_type_value == "LOGS_CAPTURED"]
        key = [result.run_id, "compute_logs", captured.file_key]
        data = instance.compute_log_manager.get_log_data(key)
        assert data.stdout is not None
        assert b"said in a run" in data.stdout
    printed = {key: text for key, text in held(endpoint).items() if key.endswith(".out")}
    assert [text.strip() for text in printed.values()] == ["said in a run"]
    assert all(key.startswith(f"desk/logs/storage/{result.run_id}/") for key in printed)


@pytest.mark.slow
def test_a_run_goes_on_where_its_bucket_does_not_answer(empty_home: Home, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint
    monkeypatch.setenv("RRR_COMPUTE_LOGS_URL", "s3://no-such-bucket/logs")
    prepare_dagster_home(empty_home)
    with dg.DagsterInstance.get() as instance:
        assert speaking.execute_in_process(instance=instance).success


def test_without_a_bucket_they_are_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RRR_COMPUTE_LOGS_URL", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    made = PlatformComputeLogs.from_config_value(None, {})
    assert isinstance(made, LocalComputeLogManager)
    assert made.get_captured_local_path(["a", "b"], "out").startswith(str(tmp_path / "storage"))
    monkeypatch.setenv("RRR_COMPUTE_LOGS_URL", "/tmp/logs")  # noqa: S108  # what is refused
    with pytest.raises(LogsUnusable, match="not of the form s3://bucket/prefix"):
        PlatformComputeLogs.from_config_value(None, {})


@pytest.mark.slow
def test_without_a_bucket_its_library_is_not_imported() -> None:
    script = """
import sys, rrr_assets.definitions, rrr_assets.resources.compute_logs
print([name for name in ("boto3", "dagster_aws") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ}, timeout=120)
    assert done.stdout.strip() == "[]"
