"""`rrr correct`, `rrr batch` and `rrr bars-diff` as a user starts them: what they say, and that bars and verdicts follow."""

import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetCheckKey
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from rrr_assets.calc.numbers import EXACT, plain
from rrr_assets.cli import main
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.home import Home
from rrr_assets_tests.dagster_platform import rows, simulated
from rrr_assets_tests.loading import Told, ccapi, midnight, vision
from rrr_assets_tests.warm import rrr

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DAY = date(2024, 7, 1)
KEY = DAY.isoformat()
BTC = "binance:BTCUSDT"
FOLLOWING = ("raw_trades", "venue_bars", "bars_1m", "bars_5m", "bars_1h", "bars_1d", "bar_conformance")
WINDOW = ("--start", KEY, "--end", "2024-07-02")


def here(*words: object) -> subprocess.CompletedProcess[str]:
    """A command that starts no run, in this process: one of its own takes longer than the command."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code: object = 0
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.setattr(sys, "argv", ["rrr", *map(str, words)])
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        texts = [stream.flush() or stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(words, int(str(code)), *texts)


_STARTS_A_RUN = ("ingest", "correct", "undo", "replay", "refresh")


def told(*words: object) -> Any:
    """What a command answers as JSON; it ends well and says nothing else."""
    done = (rrr if set(words) & set(_STARTS_A_RUN) else here)(*words, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return json.loads(done.stdout)


def refusal(*words: object) -> str:
    """The one line of a command that could not do what it was asked for."""
    done = here(*words)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("rrr: ")
    return line


def now() -> str:
    return str(rows("select clock_timestamp()")[0][0].isoformat())


def verdicts() -> dict[str, int]:
    return dict(rows("select status, count(*) from bar_conformance group by status"))


def held_integrity(instance: dg.DagsterInstance) -> set[str]:
    """The assets whose blocking check passed when the day was last looked at."""
    keys = [AssetCheckKey(dg.AssetKey(name), "integrity") for name in FOLLOWING]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys, PartitionKeyFilter(key=KEY))
    return {key.asset_key.to_user_string() for key, record in latest.items() if record.status is AssetCheckExecutionRecordStatus.SUCCEEDED}


@pytest.fixture(scope="module")
def folder(instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of trades and of the venue's bars, taken in."""
    assert instance
    made = tmp_path_factory.mktemp("made")
    simulated(made, [DAY], 600)
    for form in ("binance-vision-trades", "binance-vision-klines"):
        told("ingest", made / form, "--format", form)
    return made


def test_a_correction_is_followed_by_bars_and_verdicts_and_so_is_its_undoing(instance: dg.DagsterInstance, folder: Path) -> None:
    assert folder.is_dir()
    [(sequence, at, price)] = rows("select sequence, event_time, price from raw_trades order by event_time offset 300 limit 1")
    right, begun = verdicts(), now()
    assert "unexplained" not in right
    wanted = ("correct", BTC, sequence, "--price", price + 1000, "--reason", "told by [the] venue")
    done = told(*wanted)
    assert (done["rows_read"], done["rows_revised"], done["duplicates"], done["days"], done["instruments"]) == (1, 1, 0, [KEY], [BTC])
    assert rows("select price from raw_trades where sequence = %s", sequence) == [(price + 1000,)]
    assert verdicts()["unexplained"] >= 4  # the bar of every interval
    assert held_integrity(instance) == set(FOLLOWING)
    again = told(*wanted)
    assert (again["rows_revised"], again["duplicates"]) == (0, 1)

    corrected = now()
    minute = at.replace(second=0, microsecond=0)
    [change] = told("bars-diff", BTC, "--as-known-at", begun, "--and-at", corrected)
    assert datetime.fromisoformat(change["bar_start"]) == minute
    assert {name for name, value in change["after"].items() if change["before"][name] != value} >= {
        "high",
        "quote_volume",
        "vwap",
        "known_at",
    }
    assert all(isinstance(change["after"][name], str) for name in ("open", "high", "volume", "vwap"))
    [cause] = change["causes"]
    assert (cause["kind"], cause["reason"], cause["trades"]) == ("correction", "told by [the] venue", 1)
    table = here("bars-diff", BTC, "--as-known-at", begun, "--and-at", corrected, *WINDOW)
    assert table.returncode == 0
    assert f"{BTC} 1m: 1 bar changed" in table.stdout
    assert "correction: 1 trade by batch" in table.stdout
    assert "(told by [the] venue)" in table.stdout
    assert told("bars-diff", BTC, "--as-known-at", corrected, "--and-at", now()) == []

    batches = told("batch", "list", *WINDOW)
    assert [batch["stream"] for batch in batches].count("corrections") == 2
    assert batches == told("batch", *WINDOW)
    number = cause["batch_id"]
    done = rrr("batch", "undo", number, "--reason", "the venue took it back")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(
        rf"batch {number} of corrections on {KEY} was taken back by batch \d+: 1 row ended, 1 stand again,"
        r" 0 had been replaced since and stay\n",
        done.stdout,
    )
    assert rows("select price from raw_trades where sequence = %s", sequence) == [(price,)]
    assert verdicts() == right
    assert held_integrity(instance) == set(FOLLOWING)
    [undone] = [batch for batch in told("batch", "list", *WINDOW) if batch["undoes_batch_id"] == number]
    assert undone["reason"] == "the venue took it back"
    [batch] = [batch for batch in told("batch", "list", *WINDOW) if batch["batch_id"] == number]
    assert batch["undone_by"] in {undone["batch_id"], str(undone["batch_id"])}
    assert told("bars-diff", BTC, "--as-known-at", begun, "--and-at", now()) == []
    assert told("bars", BTC, *WINDOW, "--as-known-at", corrected) != told("bars", BTC, *WINDOW)
    assert told("trades", BTC, *WINDOW, "--as-known-at", begun)[300]["price"] == told("trades", BTC, *WINDOW)[300]["price"]

    assert refusal("batch", "undo", number, "--reason", "x") == f"rrr: batch {number} was taken back already, by batch {undone['batch_id']}"
    assert refusal("batch", "undo", undone["batch_id"], "--reason", "x").endswith(": take the file in again instead")
    [(bars,)] = rows("select batch_id from ingest_batches where stream = 'venue_bars' limit 1")
    assert "only ticks can be taken back" in refusal("batch", "undo", bars, "--reason", "x")
    assert refusal("batch", "undo", 9999, "--reason", "x") == "rrr: there is no batch 9999. `rrr batch list` shows what there is"


def test_a_file_that_is_taken_back_takes_its_bars_with_it_and_may_come_again(instance: dg.DagsterInstance, folder: Path) -> None:
    before = rows("select interval, count(*) from bar_conformance where status = 'equal' group by interval order by 1")
    [(number,)] = rows("select min(batch_id) from ingest_batches where stream = 'trades'")
    done = told("batch", "undo", number, "--reason", "of another instrument")
    assert (done["stream"], done["day"], done["taken_back"], done["restored"], done["kept"]) == ("trades", KEY, 600, 0, 0)
    assert rows("select count(*) from raw_trades") == [(0,)]
    assert rows("select count(*) from bars_1m") == [(0,)]
    assert "equal" not in verdicts()
    assert held_integrity(instance) == set(FOLLOWING)
    again = told("ingest", folder / "binance-vision-trades", "--format", "binance-vision-trades")
    assert again["rows_stored"] == 600
    assert rows("select interval, count(*) from bar_conformance where status = 'equal' group by interval order by 1") == before


def test_a_correction_of_an_unknown_trade_waits_in_quarantine_until_it_came(folder: Path, tmp_path: Path) -> None:
    assert folder.is_dir()
    instruments = rows("select count(*) from instruments")
    done = rrr("correct", "binance:ETHUSDT", 7, "--cancel", "--reason", "busted", "--json")
    assert json.loads(done.stdout)["quarantined"] == 1, done.stderr
    assert done.returncode == 1
    assert done.stderr == (
        "rrr: the correction was not applied and waits in quarantine: no trade 7 of binance:ETHUSDT is stored: "
        "take it in first, then replay this line\n"
    )
    assert rows("select count(*) from instruments") == instruments
    [waiting] = told("quarantine")
    assert (waiting["reason"], waiting["instrument"]) == ("unknown_trade", "binance:ETHUSDT")

    trades = [Told(n, midnight(DAY) + n * 1_000_000) for n in range(5, 10)]
    told("ingest", vision(tmp_path, trades, DAY, symbol="ETHUSDT"), "--format", "binance-vision-trades")
    done = told("quarantine", "replay")
    assert rows("select sequence from raw_trades where instrument = 'binance:ETHUSDT' order by 1") == [(5,), (6,), (8,), (9,)]
    assert rows("select sum(trade_count)::int from bars_1m where instrument = 'binance:ETHUSDT'") == [(4,)]
    assert told("quarantine") == []


def traded() -> dict[str, Any]:
    """The quote volume of an instrument by trades, minutes and each rule's bars."""
    sums = "select 'trades', sum(price * size) from raw_trades where instrument = %(name)s"
    sums += " union all select 'bars_1m', sum(quote_volume) from bars_1m where instrument = %(name)s"
    for kind in ("tick", "dollar"):
        sums += f" union all select rule, sum(quote_volume) from bars_{kind} where instrument = %(name)s group by rule"  # noqa: S608  # a kind
    with Database.current().connect(Role.OWNER) as connection:
        return dict(connection.execute(sums, {"name": BTC}).fetchall())


def test_bars_by_what_was_traded_follow_every_command(folder: Path) -> None:
    """A load, a correction, its undoing: what was traded is the same by all bars, and complete."""
    assert folder.is_dir()
    assert set(traded()) >= {"trades", "bars_1m", "tick-1000", "dollar-1000000"}
    [(sequence, price)] = rows("select sequence, price from raw_trades where instrument = %s order by event_time offset 200 limit 1", BTC)
    told("correct", BTC, sequence, "--price", price + 500, "--reason", "x")
    corrected = traded()
    assert len(set(corrected.values())) == 1
    [(number,)] = rows("select max(batch_id) from ingest_batches where stream = 'corrections'")
    told("batch", "undo", number, "--reason", "y")
    assert len(set(traded().values())) == 1
    assert traded() != corrected


def test_what_was_not_cut_again_yet_does_not_call_itself_complete_until_it_is_refreshed(folder: Path) -> None:
    assert folder.is_dir()
    told("bar-rules", "set", BTC, "tick-50")
    assert here("bars", BTC, *WINDOW, "--rule", "tick-1000", "--json").returncode == 0
    assert [bar["is_complete"] for bar in told("bars", BTC, *WINDOW, "--rule", "tick-1000")] == [False]
    done = here("bars", BTC, *WINDOW, "--rule", "tick-50")
    assert "`rrr refresh` makes the bars that are behind" in done.stderr
    assert told("refresh")["days"] == [KEY]
    cut = told("bars", BTC, *WINDOW, "--rule", "tick-50")
    assert (len(cut), all(bar["is_complete"] for bar in cut)) == (12, True)
    assert told("refresh") == {"days": [], "failures": []}


def test_numbers_of_all_digits_are_made_into_bars_and_read(folder: Path, tmp_path: Path) -> None:
    """Quote volumes of thirty decimals, and a sum of sizes that passes 38 digits: in bars, pictures and reads."""
    assert folder.is_dir()
    start = midnight(date(2024, 4, 9))
    name = "gemini__eth-usd__2024-04-09__trade.csv"
    told("ingest", ccapi(tmp_path, [Told(n, start + n * 1_000_000, "3500.123456789012", "0.123456789012345678") for n in range(50)], name),
         "--format", "ccapi")  # fmt: skip
    huge = "99999999999999999999.999999999999999999"
    name = "gemini__btc-usd__2024-04-09__trade.csv"
    told("ingest", ccapi(tmp_path, [Told(n, start + n * 1_000_000, "1", huge) for n in range(9)], name), "--format", "ccapi")
    window = ("--start", "2024-04-09", "--end", "2024-04-10")
    [bar] = told("bars", "gemini:BTCUSD", *window, "--interval", "1d")
    assert bar["volume"] == "899999999999999999999.999999999999999991"
    [bar] = told("bars", "gemini:ETHUSD", *window, "--interval", "1d")
    assert bar["quote_volume"] == plain(
        EXACT.multiply(Decimal(50), EXACT.multiply(Decimal("3500.123456789012"), Decimal("0.123456789012345678")))
    )
    for ending in ("png", "html"):
        assert here("bars", "gemini:BTCUSD", *window, "--plot", tmp_path / f"huge.{ending}").returncode == 0


def test_bars_of_aggregated_trades_are_a_command_away(folder: Path, tmp_path: Path) -> None:
    assert folder.is_dir()
    path = tmp_path / "SOLUSDT-aggTrades-2024-07-01.csv"
    path.write_text("".join(f"{n},150.5,2,{n * 2},{n * 2 + 1},{midnight(DAY) // 1000 + n * 1000},True,True\n" for n in range(20)))
    told("ingest", path, "--format", "binance-vision-aggtrades")
    done = here("bars", "binance:SOLUSDT", *WINDOW)
    assert "`rrr instruments set binance:SOLUSDT --bars-stream agg_trades` has bars made of them" in done.stderr
    assert here("instruments", "set", "binance:SOLUSDT", "--bars-stream", "agg_trades").returncode == 0
    assert told("refresh")["days"] == [KEY]
    assert told("bars", "binance:SOLUSDT", *WINDOW)[0]["trade_count"] == 40


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("correct",), "say which trade"),
        (("correct", BTC, "5", "--cancel"), "needs a reason"),
        (("correct", BTC, "5", "--reason", "x"), "give either --cancel, or what is right"),
        (("correct", BTC, "5", "--cancel", "--price", "1", "--reason", "x"), "give either --cancel, or what is right"),
        (("correct", BTC, "5", "--price", "0", "--reason", "x"), "is not greater than 0"),
        (("correct", BTC, "5", "--price", "1_0", "--reason", "x"), "is no decimal number"),
        (("correct", BTC, "5", "--size", "nan", "--reason", "x"), "is no decimal number"),
        (("correct", BTC, "5", "--size", "inf", "--reason", "x"), "is no decimal number"),
        (("correct", BTC, "5", "--side", "up", "--reason", "x"), "neither buy nor sell"),
        (("correct", "nowhere:X", "5", "--cancel", "--reason", "x"), "nowhere"),
        (("correct", BTC, "5", "--cancel", "--reason", "x\ny"), "one line"),
        (("correct", BTC, "5", "--file", "{file}"), "not both"),
        (("correct", "--file", "{file}", "--reason", "x"), "not both"),
        (("batch", "undo", "1", "--reason", " "), "needs a reason"),
        (("batch", "undo", "one", "--reason", "x"), "valid integer"),
        (("bars-diff", BTC, "--as-known-at", "2024-01-02", "--and-at", "2024-01-01"), "--and-at lies before --as-known-at"),
    ],
)
def test_wrong_usage_is_told(empty_home: Home, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    assert empty_home.root.is_dir()
    (tmp_path / "file.csv").write_text("instrument,sequence,action,reason\n")
    done = here(*(word.replace("{file}", str(tmp_path / "file.csv")) for word in words))
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in re.sub(r"[\s│]+", " ", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_time_that_is_not_final_is_told_in_a_line(folder: Path) -> None:
    assert folder.is_dir()
    line = refusal("bars", BTC, *WINDOW, "--as-known-at", "2100-01-01")
    assert "is not final yet. Ask for an earlier time, or wait for the load in flight" in line
    assert "is not final yet" in refusal(
        "bars-diff", BTC, "--as-known-at", datetime(2024, 1, 1, tzinfo=UTC).isoformat(), "--and-at", "2100-01-01"
    )
