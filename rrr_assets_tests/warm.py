"""Processes of their own that begin with everything imported: forked from one that did nothing but import.

Belongs here: `rrr` and scripts as tests start them, where it is not their start that is looked at: importing Dagster and the
lake takes longer than most commands. Does not: what is started while others go on (subprocess), or what a test expects.
A child has the environment and the folder that it is given, its output goes to files, and it ends as an interpreter does.
"""

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS: Final = 300

# Not the definitions, which look at the environment, nor what has threads of its own that a fork would lose, like polars.
_IMPORTED: Final = (
    "rrr_assets.cli",
    "dagster",
    "dagster._core.execution.execute_in_process",
    "dagster_postgres",
    "fsspec.implementations.local",
    "pyarrow",
    "pyarrow.parquet",
    "pyarrow.dataset",
    "pyiceberg.catalog.sql",
    "psycopg",
    "pgpq",
    "yoyo",
    "rrr_assets.lake.proving",
)


def rrr(*words: object, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """The command `rrr`, with the environment of this process where no other is given."""
    return _run({"words": [str(word) for word in words]}, environment)


def python(code: str, *words: object, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """A script with arguments, like `python -c`."""
    return _run({"code": code, "words": [str(word) for word in words]}, environment)


def killed_at(place: str, code: str, *words: object) -> None:
    """Have a script die at a fault point, and see that it did."""
    done = python(code, *words, environment={**os.environ, "RRR_FAULT_POINT": place})
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done.stdout + done.stderr


def _run(what: dict[str, Any], environment: dict[str, str] | None) -> "subprocess.CompletedProcess[str]":
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {**what, "environment": dict(os.environ) if environment is None else environment, "out": str(out), "err": str(err)}
        status = _PARENT.run(asked)
        return subprocess.CompletedProcess(what["words"], status, out.read_text("utf-8"), err.read_text("utf-8"))


class _Parent:
    """The process that children are forked from; started when it is first needed. One child at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def run(self, asked: dict[str, Any]) -> int:
        """The status that a child ended with, negative for a signal."""
        with self._lock:
            if self._process is None or self._owner != os.getpid():
                self._owner = os.getpid()
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "rrr_assets_tests.warm"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
                atexit.register(self.stop)
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            pid = int(self._line(TIMEOUT_SECONDS))
            try:
                return int(self._line(TIMEOUT_SECONDS))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                self._line(TIMEOUT_SECONDS)
                raise

    def _line(self, timeout_seconds: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_seconds)[0]:
            raise TimeoutError
        return self._process.stdout.readline()

    def stop(self) -> None:
        """End the process, if it is of this one and not of one that this was forked from."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()


_PARENT: Final = _Parent()


def _child_asked_for() -> dict[str, Any] | None:
    """In a child, what it is to do; in the parent None, when nobody asks any more."""
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            return dict(asked)
        os.write(1, f"{child}\n".encode())
        os.write(1, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())
    return None


def _become(asked: dict[str, Any]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked["environment"])
    if "code" in asked:
        sys.argv = ["-c", *asked["words"]]
        exec(compile(asked["code"], "<script>", "exec"), {"__name__": "__main__"})  # noqa: S102  # of the tests themselves
    else:
        sys.argv = ["rrr", *asked["words"]]
        from rrr_assets.cli import main

        main()


def _end(status: int | str | None) -> NoReturn:
    """Like the end of an interpreter, but for taking everything that was imported apart, which takes seconds."""
    if isinstance(status, str):
        sys.stderr.write(status + "\n")
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons, as the interpreter does
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else bool(status))


if __name__ == "__main__":
    for _name in _IMPORTED:
        import_module(_name)
    gc.freeze()  # else the first collection of a child touches, and so copies, all of it
    _asked = _child_asked_for()
    if _asked is not None:
        try:
            _become(_asked)
            _end(0)
        except SystemExit as ended:
            _end(ended.code)
