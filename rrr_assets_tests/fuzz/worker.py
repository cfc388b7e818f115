"""A process that reads damaged files one after the other, and one that looks after it.

Belongs here: making a case from its number, limits of time and memory, noticing that a process died. Does not: what must hold (oracle).
A parser that hangs, dies by a signal or takes all memory is a finding like any other, and the next case goes on.
"""

import multiprocessing
import resource
import shutil
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final, Self

from rrr_assets.venues import binance_rest, content, kraken_rest, polygon_ws
from rrr_assets_tests.fuzz import mutations, oracle
from rrr_assets_tests.fuzz.seeds import SEEDS

CPU_SECONDS: Final = 15.0
WALL_SECONDS: Final = 180.0
MEMORY_MB: Final = 600
_ADDRESS_SPACE: Final = 8 << 30


@dataclass
class Outcome:
    """What became of one case."""

    seed: str
    number: int
    done: list[str] = field(default_factory=list)  # what was done to the file
    refused: str | None = None  # why it was refused as a whole
    rows: int = 0
    refusals: Counter[str] = field(default_factory=Counter)  # by reason
    findings: list[str] = field(default_factory=list)


class Worker:
    """A process of its own that runs cases. Use as a context manager."""

    def __init__(self, keep: Path, run: str, target: "Serve | None" = None, wall_seconds: float = WALL_SECONDS) -> None:
        """`keep` is where files with findings are put; `run` is the chance that all cases hang on; `target` what the process does."""
        self._arguments, self._target, self._wall_seconds = (keep, run), target or serve, wall_seconds

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def case(self, seed: str, number: int) -> Outcome:
        """Run one case; a process that died or hung is replaced."""
        self._connection.send((seed, number))
        try:
            if self._connection.poll(self._wall_seconds):
                outcome: Outcome = self._connection.recv()
                return outcome
            ended = f"it took more than {self._wall_seconds:.0f} s"
        except EOFError:
            self._process.join(10)
            ended = f"its process ended with {self._process.exitcode}"
        self._stop()
        self._start()
        return Outcome(seed, number, findings=[ended])

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=self._target, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()

    def _stop(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.join()


Serve = Callable[[Connection, Path, str], None]


def serve(connection: Connection, keep: Path, run: str) -> None:
    """Answer with the outcome of each case that is asked for."""
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with TemporaryDirectory() as folder:
        while True:
            try:
                seed, number = connection.recv()
            except EOFError:
                return
            connection.send(run_case(Path(folder), keep, run, seed, number))


def run_case(folder: Path, keep: Path, run: str, seed_name: str, number: int) -> Outcome:
    """Make a damaged file, read it, judge it. A file with findings is kept with what was found."""
    seed, chance = SEEDS[seed_name], Random(f"{run}/{seed_name}/{number}")
    draft = mutations.damage(chance, seed)
    data, suffix, spoilt = mutations.packed(chance, seed, draft.data)
    outcome = Outcome(seed_name, number, [*draft.done, *([spoilt] if spoilt else [])])
    case = folder / f"{seed_name}-{number}"
    case.mkdir()
    path = case / f"{seed.file_name}{suffix}"
    path.write_bytes(data)
    for added, text in seed.beside.items():
        path.with_name(path.name + added).write_bytes(text)
    before = _before(folder, seed_name)
    _set_blocks(chance, len(draft.data))
    begun, peak = process_time(), _peak_mb()
    try:
        after = oracle.read(seed, path, is_probed=number % 8 == 0)
        outcome.findings += oracle.judge(seed, draft.data, bool(spoilt), before, after)
    except Exception:  # noqa: BLE001 - whatever a parser raises but SourceRefused is what is looked for
        outcome.findings.append(traceback.format_exc(limit=-6))
    else:
        outcome.refused = after.refused.reason if after.refused else None
        outcome.rows = sum(map(len, after.rows.values()))
        outcome.refusals = Counter(row["reason"] for rows in after.refusals.values() for row in rows)
    if process_time() - begun > CPU_SECONDS:
        outcome.findings.append(f"it took {process_time() - begun:.0f} s")
    if _peak_mb() - peak > MEMORY_MB:
        outcome.findings.append(f"it took {_peak_mb() - peak} MB")
    if outcome.findings:
        kept = keep / case.name
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(case, kept)
        (kept / "findings.txt").write_text("\n".join([f"{run}/{seed_name}/{number}: {', '.join(outcome.done)}", *outcome.findings, ""]))
    shutil.rmtree(case)
    return outcome


_BEFORE: Final[dict[str, "oracle.Read"]] = {}


def _before(folder: Path, seed_name: str) -> "oracle.Read":
    """What the seed itself gives, in one block."""
    if seed_name not in _BEFORE:
        seed = SEEDS[seed_name]
        whole = folder / f"seed-{seed_name}"
        whole.mkdir()
        path = whole / seed.file_name
        path.write_bytes(seed.data)
        for added, text in seed.beside.items():
            path.with_name(path.name + added).write_bytes(text)
        _set_blocks(None, 0)
        _BEFORE[seed_name] = oracle.read(seed, path)
    return _BEFORE[seed_name]


def _set_blocks(chance: Random | None, size: int) -> None:
    """Let small files cross many borders of blocks, half of the time."""
    is_small = chance is not None and size < 50_000 and chance.random() < 0.5
    small_bytes = chance.choice([701, 4096]) if chance is not None else 0
    content.BLOCK_BYTES, content.BLOCK_LINES = (small_bytes, 7) if is_small else (4 << 20, 500_000)  # type: ignore[misc]  # constants, but for this
    for module in (binance_rest, kraken_rest):
        module.BATCH_ROWS = 5 if is_small else 100_000  # type: ignore[attr-defined]  # imported there by name
    polygon_ws._BLOCK_LINES = 3 if is_small else 20_000  # type: ignore[misc]  # a constant, but for this


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
