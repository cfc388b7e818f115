"""Running the damaged files of a format, and saying what became of them.

Belongs here: how many, what a refusal of a whole file may say, the count for the summary. Does not: a single case (worker).

`RRR_FUZZ_FILES` says how many files are made in all; `RRR_FUZZ_RUN` which ones, any word; `RRR_FUZZ_CASE` one alone, by the words that a
failure gives. The same words give the same files. What failed lies in build/fuzz/, with what was found beside it.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from rrr_assets_tests.fuzz.seeds import SEEDS
from rrr_assets_tests.fuzz.worker import Outcome, Worker

KEPT: Final = Path(__file__).resolve().parents[2] / "build" / "fuzz"
FILES: Final = int(os.environ.get("RRR_FUZZ_FILES", "10000"))
RUN: Final = os.environ.get("RRR_FUZZ_RUN", "1")
ONE: Final = os.environ.get("RRR_FUZZ_CASE")

# A file is refused whole for what is wrong with all of it, never for what is wrong with a row.
FILE_LEVEL: Final = {
    "damaged archive": (
        "the archive is truncated or damaged",
        "exactly one CSV or JSON file",
        "is encrypted",
        "zip's method",
        "file inside it is",
    ),
    "cut at its end": ("it is truncated: its last line",),
    "damaged document": (
        "it is truncated or no JSON",
        r"byte \d+ is no UTF-8",
        "its result is of",
        "it is no answer",
        "it is no JSON list",
    ),
    "damaged Parquet": ("truncated or damaged Parquet", r"its column \w+ holds"),
    "nothing in it": ("it is empty", "list is empty", "is an empty list", "and no row of these columns below it"),
    "another thing": (r"it is not [\w-]+(: it starts|; it looks)", "it is binary", "UTF-16", "HTML or XML", "the venue's error"),
    "another stream or venue": (
        r"it is a \w+ file",
        "looks like a capture",
        "which are another stream",
        "tickers, such as",
        "another data type",
    ),
    "damaged header": ("its header", "it has no column", "its column .* stands twice", "so its market is not known"),
    "not what its name says": ("it is named for", "nothing says which", "exchange .*, which is not known", "start at times of another"),
    "not enough to tell": (r"interval of its \w+ is not known", "some of its bars start at midnight", "its mapping does not say"),
    "not what was asked for": (r"it holds [\w: ,]+, (and nothing|none) of", "which only those of futures have"),
}


def kind_of(reason: str) -> str | None:
    """The kind of a refusal; None where it is none that a whole file may be refused for."""
    return next((kind for kind, patterns in FILE_LEVEL.items() if any(re.search(pattern, reason) for pattern in patterns)), None)


def cases(form: str) -> Iterator[tuple[str, int]]:
    """The cases of a format: the name of a seed and a number."""
    if ONE is not None:
        name, _, number = ONE.rpartition("/")
        if SEEDS[name].format == form:
            yield name, int(number)
        return
    for name in (seed.name for seed in SEEDS.values() if seed.format == form):
        for number in range(-(-FILES // len(SEEDS))):
            yield name, number


def run(form: str, worker: Worker, say: Callable[[str, object], None]) -> None:
    """Run a format's cases. Every finding is told at the end, all of them at once.

    Args:
        form: The format.
        worker: Runs each case.
        say: Takes the count, for the summary of the tests' run.
    """
    counts: Counter[str] = Counter()
    found: list[str] = []
    for name, number in cases(form):
        outcome = worker.case(name, number)
        _count(outcome, counts)
        found += [f"{name}/{number} ({', '.join(outcome.done)}): {finding}" for finding in outcome.findings]
        if outcome.refused is not None and kind_of(outcome.refused) is None:
            found.append(f"{name}/{number} ({', '.join(outcome.done)}): refused whole for {outcome.refused}")
    say("fuzz", dict(counts))
    if found:
        shown = "\n".join(found[:20])
        raise AssertionError(f"{len(found)} findings, files in {KEPT}; RRR_FUZZ_RUN={RUN} RRR_FUZZ_CASE=<name> makes one again\n{shown}")
    # Most of what is done to a file is done to a row, or to few.
    if ONE is None and form != "table" and 2 * counts["files refused whole"] > counts["files"]:
        raise AssertionError(f"most files were refused whole: {dict(counts)}")


def _count(outcome: Outcome, counts: Counter[str]) -> None:
    counts["files"] += 1
    counts["rows"] += outcome.rows
    counts["rows refused"] += outcome.refusals.total()
    if outcome.refused is not None:
        counts["files refused whole"] += 1
        counts[f"files refused whole: {kind_of(outcome.refused) or 'unknown'}"] += 1
    for reason, number in outcome.refusals.items():
        counts[f"rows refused: {reason}"] += number
