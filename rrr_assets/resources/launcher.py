"""Whether the process of a run lives, so that run monitoring ends what a crash left behind.

Belongs here: Dagster's own launcher, and the question it leaves open. Does not: watching (run_monitoring in dagster.yaml).
A run that died with its code server, or with its command line, is otherwise shown as running for ever, and holds
one of the few places in the queue.
"""

from typing import Final

import grpc  # type: ignore[import-untyped]  # it comes with dagster, without types
from dagster import DagsterRun, DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from rrr_assets.warehouse.home import Home, HomeUnusable, hold_lock

RUN_LOCK_TAG: Final = "rrr/lock"
"""On the run of a command line: the file among the home's logs that it holds a lock on while it lives."""

_ANSWER_SECONDS: Final = 10


class PlatformRunLauncher(DefaultRunLauncher):
    """Launches runs as Dagster does, in the code server, and tells the living from the dead."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the command line's lock, or the code server that the run was started in."""
        lock = run.tags.get(RUN_LOCK_TAG)
        if lock is not None:
            return _by_lock(lock)
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]  # Dagster's, untyped
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "Started by neither a code server nor the command line: nobody can tell.")
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=_ANSWER_SECONDS)
        except DagsterUserCodeUnreachableError as error:
            cause = error.__cause__
            if isinstance(cause, grpc.RpcError) and cause.code() == grpc.StatusCode.UNAVAILABLE:
                return CheckRunHealthResult(WorkerStatus.FAILED, "The code server that ran it is gone.")
            return CheckRunHealthResult(WorkerStatus.RUNNING, "The code server that runs it is too busy to answer.")
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "The code server that ran it knows of no such process any more.")


def _by_lock(name: str) -> CheckRunHealthResult:
    lock = Home.current().logs / name
    try:
        # The system freed the lock if its holder died.
        with hold_lock(lock, timeout_seconds=0):
            pass
    except HomeUnusable:
        return CheckRunHealthResult(WorkerStatus.RUNNING)
    lock.unlink(missing_ok=True)
    return CheckRunHealthResult(WorkerStatus.FAILED, "The command line that ran this was killed. The days that it reported are kept.")
