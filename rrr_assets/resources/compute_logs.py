"""Where what runs printed is kept: a folder of Dagster's home, or a bucket that all machines of a deployment see.

Belongs here: RRR_COMPUTE_LOGS_URL. Does not: the logs of the database's server, Dagster's events.
A bucket is entered as the archive's is: by AWS' own settings. Its library costs seconds to import, and is where a bucket is named.
"""

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from dagster._core.storage.compute_log_manager import ComputeLogManager
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.warehouse.home import Home

SETTING: Final = "RRR_COMPUTE_LOGS_URL"
_UPLOAD_SECONDS: Final = 30


class LogsUnusable(PermanentFailure):
    """RRR_COMPUTE_LOGS_URL names no bucket."""


class PlatformComputeLogs(LocalComputeLogManager):
    """Dagster's own folder of logs, or its S3 one where RRR_COMPUTE_LOGS_URL names a bucket.

    A run goes on where its bucket does not answer: Dagster tells it as an event of the run.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """No setting: all comes from the environment."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> ComputeLogManager:  # type: ignore[override]  # noqa: ARG003  # Dagster asks for no more than a manager
        """Called by Dagster in every process that opens the instance.

        Raises:
            LogsUnusable: RRR_COMPUTE_LOGS_URL is not of the form s3://bucket/prefix.
        """
        given = os.environ.get(SETTING)
        folder = Path(os.environ.get("DAGSTER_HOME") or Home.current().dagster)
        if not given:
            return LocalComputeLogManager(str(folder / "storage"), inst_data=inst_data)
        parts = urlsplit(given)
        if parts.scheme != "s3" or not parts.netloc:
            raise LogsUnusable(f"{SETTING} {given} is not of the form s3://bucket/prefix. Set it so, or not at all")
        from dagster_aws.s3 import S3ComputeLogManager

        # Arrow and AWS' command line read the one, boto3 the other.
        if region := os.environ.get("AWS_REGION"):
            os.environ.setdefault("AWS_DEFAULT_REGION", region)
        made: ComputeLogManager = S3ComputeLogManager(
            bucket=parts.netloc,
            prefix=parts.path.strip("/") or "dagster",
            local_dir=str(folder / "storage-under-way"),
            skip_empty_files=True,
            # So that of a run that was killed all but its last words are there.
            upload_interval=_UPLOAD_SECONDS,
            inst_data=inst_data,
        )
        return made
