"""What the search for faults would find: each is built into a format on purpose."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rrr_assets.venues import registry
from rrr_assets.venues.base import Format, ParsedBatch, Source, SourceFacts, SourceRefused
from rrr_assets_tests.fuzz import worker
from rrr_assets_tests.fuzz.running import kind_of
from rrr_assets_tests.fuzz.worker import Outcome, Worker, run_case

Break = Callable[[ParsedBatch], ParsedBatch]


def _with(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    place = batch.schema.get_field_index(name)
    return pa.RecordBatch.from_arrays([column if n == place else old for n, old in enumerate(batch.columns)], schema=batch.schema)


def loses_a_row(batch: ParsedBatch) -> ParsedBatch:
    return replace(batch, rows=batch.rows.slice(0, max(len(batch.rows) - 1, 0)))


def loses_a_row_and_counts_it(batch: ParsedBatch) -> ParsedBatch:
    return replace(loses_a_row(batch), passed_over=batch.passed_over + min(len(batch.rows), 1))


def changes_a_price(batch: ParsedBatch) -> ParsedBatch:
    return replace(
        batch, rows=_with(batch.rows, "price", pc.abs_checked(pc.add(batch.rows["price"], batch.rows["size"])).cast("decimal128(38, 12)"))
    )


def counts_lines_from_nought(batch: ParsedBatch) -> ParsedBatch:
    return replace(batch, rows=_with(batch.rows, "line", pc.subtract(batch.rows["line"], 1)))


def hides_what_is_bad(batch: ParsedBatch) -> ParsedBatch:
    return replace(batch, refused=batch.refused.slice(0, 0), passed_over=batch.passed_over + len(batch.refused))


def shows_another_line(batch: ParsedBatch) -> ParsedBatch:
    return replace(batch, refused=_with(batch.refused, "raw", pa.array(["?"] * len(batch.refused), pa.string())))


def says_no_reason(batch: ParsedBatch) -> ParsedBatch:
    return replace(batch, refused=_with(batch.refused, "detail", pa.array(["bad"] * len(batch.refused), pa.string())))


def wraps_ids(batch: ParsedBatch) -> ParsedBatch:
    return replace(batch, rows=_with(batch.rows, "sequence", pc.bit_wise_and(batch.rows["sequence"], 1023)))


def tells_every_row_twice(batch: ParsedBatch) -> ParsedBatch:
    twice = pa.Table.from_batches([batch.rows, batch.rows]).combine_chunks().to_batches()
    return replace(batch, rows=twice[0] if twice else batch.rows)


def crashes(batch: ParsedBatch) -> ParsedBatch:
    if len(batch.refused):
        raise OverflowError("too much")
    return batch


def refuses_all(batch: ParsedBatch) -> ParsedBatch:
    if len(batch.refused):
        raise SourceRefused("file", "one of its rows is bad", "Mend it.")
    return batch


class Broken:
    """A format whose batches are changed on their way out."""

    def __init__(self, whole: Format, change: Break) -> None:
        self._whole, self._change = whole, change

    def inspect(self, source: Source) -> SourceFacts:
        return self._whole.inspect(source)

    def parse(self, source: Source, facts: SourceFacts) -> Iterator[ParsedBatch]:
        return map(self._change, self._whole.parse(source, facts))

    def raw_lines(self, source: Source, lines: Sequence[int]) -> object:
        return self._whole.raw_lines(source, lines)


def outcomes(folder: Path, seed: str) -> list[Outcome]:
    return [run_case(folder, folder / "kept", "oracle", seed, number) for number in range(30)]


@pytest.mark.parametrize(
    "change",
    [
        loses_a_row,
        loses_a_row_and_counts_it,
        changes_a_price,
        counts_lines_from_nought,
        hides_what_is_bad,
        shows_another_line,
        says_no_reason,
        wraps_ids,
        tells_every_row_twice,
        crashes,
        refuses_all,
    ],
)
def test_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Break) -> None:
    whole = registry.get("binance-vision-trades")
    assert [outcome.findings for outcome in outcomes(tmp_path, "vision-trades-spot") if outcome.findings] == []
    monkeypatch.setattr(registry, "get", lambda _: Broken(whole, change))
    found = [outcome for outcome in outcomes(tmp_path, "vision-trades-spot") if outcome.findings]
    assert found
    kept = tmp_path / "kept" / f"vision-trades-spot-{found[0].number}"
    assert (kept / "findings.txt").read_text().startswith(f"oracle/vision-trades-spot/{found[0].number}: {', '.join(found[0].done)}\n")
    assert len(list(kept.iterdir())) == 2


def test_a_case_is_the_same_every_time(tmp_path: Path) -> None:
    first, again = (outcomes(tmp_path, "binance-ws-spot")[:8] for _ in range(2))
    assert first == again


def test_a_refusal_for_a_row_is_no_refusal_of_a_file() -> None:
    assert kind_of("the archive is truncated or damaged (Bad CRC-32 for file 'a.csv')") == "damaged archive"
    assert kind_of("Column price holds 'x', which is no decimal number.") is None


def _serve_badly(connection: Connection, _keep: Path, run: str) -> None:
    """Answers, dies by a signal, or hangs, as it is asked to."""
    while True:
        seed, number = connection.recv()
        if number == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        if number == 2:
            time.sleep(60)
        connection.send(Outcome(seed, number, [run]))


def test_a_process_that_dies_or_hangs_is_a_finding_and_the_next_case_goes_on(tmp_path: Path) -> None:
    with Worker(tmp_path, "run", _serve_badly, wall_seconds=20) as started:
        found = [started.case("seed", number) for number in (0, 1, 0, 2, 0)]
    good = Outcome("seed", 0, ["run"])
    assert found[::2] == [good, good, good]
    assert found[1].findings == [f"its process ended with -{int(signal.SIGSEGV)}"]
    assert found[3].findings == ["it took more than 20 s"]


def test_time_and_memory_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "CPU_SECONDS", -1.0)
    monkeypatch.setattr(worker, "MEMORY_MB", -1)
    [outcome] = [run_case(tmp_path, tmp_path / "kept", "oracle", "ccapi-trades", 0)]
    assert [finding.split()[-1] for finding in outcome.findings] == ["s", "MB"]
