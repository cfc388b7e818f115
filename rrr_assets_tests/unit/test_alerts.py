"""One cause, one message: what belongs together, what is muted, when it is quiet, what is said, and that each rule has its page."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.alert_messages import body, headline, plain, slack_blocks, subject
from rrr_assets.calc.alerts import Mute, Signal, causes, class_of_failure, fingerprint, is_muted, is_quiet, not_before
from rrr_assets.calc.quality_config import Alerting, Channel, QualitySettings, QuietHours, read_settings
from rrr_assets.cli import app
from rrr_assets.contracts.quality import GAPS
from rrr_assets.contracts.runbooks import RULES, rule_of
from rrr_assets_tests.alert_server import NOW, cause

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "runbooks"
DAY = date(2024, 1, 2)
MIDNIGHT = datetime(2024, 1, 2, tzinfo=UTC)
PLAIN = Alerting()


def gap(instrument: str, *, stream: str = "trades", day: date = DAY, why: str = "feed", found: int = 0, ids: int = 3) -> Signal:
    return Signal(
        key=f"gap|{instrument}|{stream}|{day}|{why}", kind="gap", rule="gap", severity="page",
        what=f"{stream} of {instrument} are missing",
        since=datetime(day.year, day.month, day.day, 3, tzinfo=UTC), found_at=NOW + timedelta(minutes=found), size=ids,
        instrument=instrument, relation=f"raw_{stream}", day=day, is_of_file=why == "quarantined",
    )  # fmt: skip


def finding(
    rule: str, instrument: str | None, *, relation: str = "raw_trades", day: date | None = DAY, severity: str = "page", broken: int = 1,
    found: int = 0, run_id: str | None = "checks",
) -> Signal:  # fmt: skip
    return Signal(
        key=f"finding|{rule}|{relation}|{instrument}|{day}", kind="finding", rule=rule, severity=severity,
        what=f"{rule} of {instrument}", since=MIDNIGHT, found_at=NOW + timedelta(minutes=found), size=broken, instrument=instrument,
        relation=relation, day=day, run_id=run_id,
    )  # fmt: skip


def check(asset: str, *, name: str = "integrity", day: date | None = DAY, run_id: str = "run-1", severity: str = "page") -> Signal:
    return Signal(
        key=f"check|{asset}|{name}|{day}", kind="check", rule=name, severity=severity, what=f"{asset}: broken", since=NOW, found_at=NOW,
        relation=asset, day=day, run_id=run_id,
    )  # fmt: skip


def run(reason: str, *, job: str = "venues_to_bars", run_id: str = "run-1") -> Signal:
    return Signal(
        key=f"run|{job}|{run_id}", kind="run", rule=class_of_failure(reason) or "run_failed", severity="page",
        what=f"{job} failed: {reason}",
        since=NOW, found_at=NOW, run_id=run_id, reason=reason,
    )  # fmt: skip


def rules(signals: list[Signal], settings: Alerting = PLAIN) -> list[tuple[str, str, int]]:
    return [(found.rule, found.scope, len(found.members)) for found in causes(signals, settings)]


# --- what belongs together --------------------------------------------------------------------------------------


def test_a_schema_that_was_changed_is_one_cause_however_many_tables_show_it_and_whoever_asks() -> None:
    tables = ("raw_trades", "gaps", "orders", "instruments", "alerts")
    findings = [finding("schema_drift", None, relation=table, day=None, found=40 * number) for number, table in enumerate(tables)]
    asked = check("validations", name="schema_drift", day=None, run_id="validate")
    [cause] = causes([*findings, asked], Alerting())
    assert (cause.rule, len(cause.members)) == ("schema_drift", 6)
    others = [check("validations", name=name, day=None, run_id="validate") for name in ("great_expectations", "contract")]
    assert len(causes(others, Alerting())) == 1
    assert len(causes([*findings, asked, *others], Alerting())) == 2


def test_checks_that_break_down_for_one_reason_are_one_cause_and_the_table_that_they_name_is_it() -> None:
    def broken(name: str, why: str) -> Signal:
        return replace(finding("broken_check", None, relation=name, day=None, found=40), reason=why)

    denied = "permission denied for table raw_trades"
    found = [broken("rules of raw_trades", denied), broken("gathering trades", denied), broken("gaps: silences", denied)]
    told = Signal(key="broken|daily", kind="check", rule="broken_check", severity="page", what="", since=NOW, found_at=NOW, reason=denied)
    [cause] = causes([*found, told], PLAIN)
    assert (cause.rule, len(cause.members)) == ("broken_check", 4)
    table = finding("schema_drift", None, relation="raw_trades", day=None)
    [cause] = causes([*found, told, table], PLAIN)
    assert (cause.rule, len(cause.members)) == ("schema_drift", 5)
    other = broken("rules of raw_depth", "division by zero")
    assert {(each.rule, len(each.members)) for each in causes([*found, table, other], PLAIN)} == {("schema_drift", 4), ("broken_check", 1)}


def test_nothing_wrong_has_no_cause() -> None:
    assert causes([], PLAIN) == []


def test_a_bad_file_is_one_cause_with_its_holes_its_check_its_run_and_its_bars() -> None:
    signals = [
        finding("quarantine", "binance:BTCUSDT", severity="warn", broken=32),
        gap("binance:BTCUSDT", why="quarantined"),
        check("raw_trades"),
        check("bars_1m"),
        run("a blocking check failed"),
        finding("incomplete_bars", "binance:BTCUSDT", relation="bars_1m", severity="warn"),
        finding("unexplained_bar", "binance:BTCUSDT", relation="bar_conformance"),
    ]
    assert rules(signals) == [("quarantine", "binance:BTCUSDT", 7)]
    (found,) = causes(signals, PLAIN)
    assert found.severity == "page"
    assert found.next_step == "rrr quarantine --instrument binance:BTCUSDT"
    assert found.page == "bad-file"
    assert found.since == MIDNIGHT


def test_two_bad_files_are_two_causes() -> None:
    signals = [gap("binance:BTCUSDT", why="quarantined"), gap("binance:ETHUSDT", why="quarantined", found=2)]
    assert len(rules(signals)) == 2


def test_a_venue_that_stopped_is_one_cause_however_many_instruments_it_has() -> None:
    signals = [finding("freshness", f"binance:S{n}USDT", relation="trades", day=None) for n in range(100)]
    signals += [gap(f"binance:S{n}USDT") for n in range(100)]
    assert rules([*signals, gap("kraken:XBTUSD")]) == [
        ("freshness", "100 instruments of binance", 200),
        ("gap", "kraken:XBTUSD", 1),
    ]


def test_the_page_is_that_of_what_went_wrong() -> None:
    def help_of(*signals: Signal) -> tuple[str, str]:
        (found,) = causes(signals, PLAIN)
        return found.page, found.next_step

    assert help_of(gap("binance:BTCUSDT")) == ("gap", "rrr gaps --instrument binance:BTCUSDT")
    assert help_of(gap("binance:BTCUSDT", why="quarantined")) == ("bad-file", "rrr quarantine --instrument binance:BTCUSDT")
    assert help_of(*(gap(f"binance:S{n}USDT") for n in range(9))) == ("dead-feed", "rrr quality fresh")


def test_holes_that_are_found_hours_apart_are_told_apart() -> None:
    signals = [gap(f"binance:S{n}USDT", found=60 * n) for n in range(5)]
    assert len(rules(signals)) == 5


def test_a_trickle_of_holes_is_not_one_cause_for_ever() -> None:
    assert len(rules([gap(f"binance:S{n}USDT", found=10 * n) for n in range(60)])) == 9


def test_checks_that_fail_together_do_not_make_one_cause_of_two_defects() -> None:
    signals = [gap("binance:BTCUSDT"), finding("crossed_book", "binance:BTCUSDT", relation="raw_quotes")]
    signals += [check("raw_trades"), check("raw_quotes")]
    assert sorted(count for _, _, count in rules(signals)) == [1, 3]


def test_a_defect_of_a_month_that_is_found_at_once_is_one_cause() -> None:
    signals = [finding("duplicate", "binance:BTCUSDT", day=DAY + timedelta(days=n)) for n in range(31)]
    (found,) = causes(signals, PLAIN)
    assert found.title == "Rows are there twice: binance:BTCUSDT on 31 days from 2024-01-02 to 2024-02-01, 31 findings"
    assert len(found.lines) == 7


def test_unlike_defects_of_an_instrument_are_told_apart() -> None:
    signals = [
        finding("duplicate", "binance:BTCUSDT"),
        finding("crossed_book", "binance:BTCUSDT", relation="raw_quotes"),
        gap("binance:BTCUSDT"),
    ]
    assert {rule for rule, _, _ in rules(signals)} == {"duplicate", "crossed_book", "gap"}


def test_a_failed_run_and_its_failed_checks_are_one_cause() -> None:
    signals = [check("raw_trades"), check("bars_1m"), run("blocking check failed")]
    assert rules(signals) == [("integrity", "raw_trades", 3)]


def test_checks_that_only_share_a_run_are_told_apart() -> None:
    signals = [check("archive_scrub", name="archive", day=None), check("cost_report", name="cost", day=None)]
    assert len(rules(signals)) == 2


def test_a_hard_check_is_not_explained_by_what_only_warns() -> None:
    signals = [finding("late", "binance:BTCUSDT", severity="warn"), check("raw_trades")]
    assert [found.severity for found in causes(signals, PLAIN)] == ["page", "warn"]


@pytest.mark.parametrize(
    ("reason", "rule"),
    [
        ("NoSpaceLeft: the load of trades was not begun: 12 MB are free on the disk of the home, and 40 MB are to stay free", "disk_full"),
        ("DiskFull: could not extend file base/1", "disk_full"),
        ("StoreUnreachable: the archive did not answer well: timeout", "object_store_down"),
        ("DatabaseUnusable: cannot enter database rrr as rrr_writer: connection refused", "database_down"),
        ("ModuleNotFoundError: No module named 'x'", "bad_deploy"),
        ("ValueError: 3", None),
    ],
)
def test_the_platforms_own_failures_are_known_by_their_words(reason: str, rule: str | None) -> None:
    assert class_of_failure(reason) == rule


def test_runs_that_fail_for_one_reason_are_one_cause() -> None:
    full = "NoSpaceLeft: the load of {} was not begun: 12 MB are free on the disk of the home"
    signals = [run(full.format(n), run_id=str(n)) for n in range(10)]
    signals.append(Signal("disk|/x", "platform", "disk_full", "page", "12 MB are free", NOW, NOW))
    assert rules(signals) == [("disk_full", "the platform", 11)]
    others = [run(f"ValueError: {n} of binance:S{n}USDT", run_id=str(n), job=f"job{n}") for n in range(4)] + [
        run("KeyError: 'x'", run_id="k")
    ]
    assert sorted(count for _, _, count in rules(others)) == [1, 4]


def test_no_password_of_an_address_is_told() -> None:
    (found,) = causes([run("ValueError: cannot use postgresql://rrr:very-secret@host/db")], PLAIN)
    assert found.title == "venues_to_bars failed: ValueError: cannot use postgresql://rrr:***@host/db"
    assert "very-secret" not in fingerprint("cannot use postgresql://rrr:very-secret@host/db")


def test_what_is_turned_off_causes_nothing_and_a_severity_is_as_the_settings_say() -> None:
    signals = [gap("binance:BTCUSDT"), finding("late", "kraken:XBTUSD", severity="warn")]
    settings = Alerting.model_validate({"severities": {"gap": "off", "late": "page"}})
    assert [(found.rule, found.severity) for found in causes(signals, settings)] == [("late", "page")]


@given(
    st.lists(st.tuples(st.sampled_from(["gap", "finding", "check", "run"]), st.integers(0, 4), st.integers(0, 3)), max_size=30),
    st.randoms(),
)
def test_every_signal_is_of_one_cause_in_whatever_order_they_come(drawn: list[tuple[str, int, int]], chance) -> None:
    make = {
        "gap": lambda n, d: gap(f"v{n % 2}:S{n}", day=DAY + timedelta(days=d)),
        "finding": lambda n, d: finding("duplicate", f"v{n % 2}:S{n}", day=DAY + timedelta(days=d)),
        "check": lambda n, d: check(("raw_trades", "bars_1m", "cost_report")[n % 3], day=DAY + timedelta(days=d), run_id=f"r{n % 3}"),
        "run": lambda n, d: run(("ValueError: x", "NoSpaceLeft")[n % 2], run_id=f"r{n}", job=f"j{d}"),
    }
    signals = [make[kind](n, d) for kind, n, d in drawn]
    found = causes(signals, PLAIN)
    assert sorted(key for each in found for key in each.members) == sorted({signal.key for signal in signals})
    assert len({each.key for each in found}) == len(found)
    chance.shuffle(signals)
    assert causes(signals, PLAIN) == found


def test_the_level_counts_digits_so_that_a_few_more_rows_are_no_news() -> None:
    def level(broken: int) -> int:
        return causes([finding("duplicate", "binance:BTCUSDT", broken=broken)], PLAIN)[0].level

    assert [level(n) for n in (1, 9, 10, 99, 1000, 1_000_000)] == [1, 1, 2, 2, 4, 7]


def test_a_reason_is_the_same_without_its_numbers_and_names() -> None:
    one = fingerprint("ValueError: 12 rows of binance:BTCUSDT in 'a.zip'\n  File ...")
    assert one == fingerprint("ValueError: 7 rows of kraken:XBTUSD in 'b.zip'")
    assert one != fingerprint("KeyError: 7 rows of kraken:XBTUSD in 'b.zip'")


# --- mutes and quiet hours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "rule", "muted"),
    [("*", None, True), ("binance", None, True), ("binance:*", None, True), ("binance:BTCUSDT", None, True), ("binance:BTC", None, False),
     ("kraken", None, False), ("binance", "gap", True), ("binance", "late", False)],
)  # fmt: skip
def test_a_mute_covers_its_venue_its_instrument_and_its_rule(scope: str, rule: str | None, muted: bool) -> None:
    assert is_muted(cause("binance:BTCUSDT"), [Mute(scope, rule)]) is muted


def test_a_cause_is_muted_when_all_of_it_is() -> None:
    (found,) = causes([gap(f"binance:S{n}USDT") for n in range(3)], PLAIN)
    assert not is_muted(found, [Mute("binance:S0USDT"), Mute("binance:S1USDT")])
    assert is_muted(found, [Mute(f"binance:S{n}USDT") for n in range(3)])
    assert not is_muted(cause("the platform", "disk_full"), [Mute("binance")])


@pytest.mark.parametrize(("hours", "quiet"), [((22, 7), {22, 23, 0, 6}), ((1, 5), {1, 4}), ((3, 3), set())])
def test_quiet_hours_go_over_midnight(hours: tuple[int, int], quiet: set[int]) -> None:
    found = {hour for hour in range(24) if is_quiet(QuietHours(from_hour=hours[0], to_hour=hours[1]), MIDNIGHT.replace(hour=hour))}
    assert quiet <= found
    assert hours[1] not in found


def test_a_warning_waits_for_the_end_of_quiet_hours_and_a_page_does_not() -> None:
    quiet, late = QuietHours(from_hour=22, to_hour=7), MIDNIGHT.replace(hour=23, minute=30)
    channel = Channel(name="c", kind="webhook", url="http://x")
    assert not_before(channel, "page", quiet, late) == late
    assert not_before(channel, "warn", quiet, late) == datetime(2024, 1, 3, 7, tzinfo=UTC)
    assert not_before(channel, "warn", quiet, MIDNIGHT.replace(hour=2)) == MIDNIGHT.replace(hour=7)
    assert not_before(channel.model_copy(update={"is_quiet": False}), "warn", quiet, late) == late


# --- what is said -----------------------------------------------------------------------------------------------

ALERT = {
    "alert_id": 7, "rule": "gap", "severity": "page", "title": "trades of binance:BTCUSDT are <missing>", "scope": "binance:BTCUSDT",
    "since": NOW - timedelta(hours=26, minutes=5), "level": 4, "next_step": "rrr gaps --instrument binance:BTCUSDT", "runbook": "gap",
    "link": "/assets/raw_trades", "resolved_at": NOW, "lines": ["one & two"],
}  # fmt: skip
LINKS = {"ui_url": "http://ui:3000/", "runbook_url": "https://wiki/runbooks/"}


def test_a_message_says_what_where_since_when_how_bad_where_to_look_and_the_next_step() -> None:
    told = body("opened", ALERT, NOW, **LINKS)
    text = plain(told)
    for part in ("🔴 trades of", "Where: binance:BTCUSDT", "Since: 2024-01-01 09:55 UTC", "it pages", "for 1 d 2 h", "Next step: rrr gaps",
                 "https://wiki/runbooks/gap.md", "http://ui:3000/assets/raw_trades", "- one & two"):  # fmt: skip
        assert part in text
    assert json.loads(json.dumps(told)) == told


def test_blocks_are_escaped_short_and_few() -> None:
    blocks = slack_blocks(body("opened", {**ALERT, "lines": ["x" * 5000]}, NOW, **LINKS))
    assert "&lt;missing&gt;" in blocks[0]["text"]["text"]
    assert all(len(block["text"]["text"]) < 3000 for block in blocks if block["type"] == "section")
    assert len(blocks) <= 5
    assert "<https://wiki/runbooks/gap.md|Runbook>" in blocks[-1]["elements"][0]["text"]


def test_what_is_over_says_how_long_it_lasted_and_asks_for_nothing() -> None:
    told = body("resolved", ALERT, NOW + timedelta(hours=1), **LINKS)
    assert headline(told).startswith("🟢 Resolved: ")
    assert "it lasted 1 d 2 h" in plain(told)
    assert "Next step" not in plain(told)
    assert "rrr gaps" not in json.dumps(slack_blocks(told))


def test_a_subject_is_one_line() -> None:
    told = body("worse", {**ALERT, "title": "a\nBcc: x@y\r b"}, NOW, **LINKS)
    assert subject(told) == "[page] Worse: a Bcc: x@y b"


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "channel",
    [{"kind": "slack", "channel": "#a"}, {"kind": "webhook"}, {"kind": "email", "host": "h", "sender": "a@b"}],
)
def test_a_channel_without_what_its_kind_needs_is_refused(channel: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="needs"):
        QualitySettings.model_validate({"alerts": {"channels": [{"name": "c", **channel}]}})


def test_two_channels_of_one_name_are_refused() -> None:
    hook = {"name": "c", "kind": "webhook", "url": "http://x"}
    with pytest.raises(ValueError, match="one name"):
        QualitySettings.model_validate({"alerts": {"channels": [hook, hook]}})


def test_the_settings_that_the_page_shows_are_understood(tmp_path: Path) -> None:
    shown = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "alerts.md").read_text("utf-8"), re.DOTALL)
    assert shown is not None
    path = tmp_path / "quality.yaml"
    path.write_text(shown[1], "utf-8")
    settings = read_settings(path).alerts
    assert [channel.kind for channel in settings.channels] == ["slack", "webhook", "email"]
    assert settings.severities == {"late": "off", "quarantine": "page"}


# --- the runbook ------------------------------------------------------------------------------------------------

HEADINGS = ("## What it means", "## One command", "## If that does not help")


def commands() -> set[str]:
    group = typer.main.get_command(app)
    return set(group.commands) | {  # type: ignore[attr-defined]
        f"{name} {inner}"
        for name, command in group.commands.items()
        for inner in getattr(command, "commands", {})  # type: ignore[attr-defined]
    }


def test_every_rule_has_a_page_that_says_what_it_means_one_command_and_what_else() -> None:
    for rule in RULES.values():
        text = (PAGES / f"{rule.page}.md").read_text("utf-8")
        at = [text.find(heading) for heading in HEADINGS]
        assert all(place > 0 for place in at), rule.page
        assert at == sorted(at), rule.page
        said = re.search(r"^```\n(rrr [a-z].*)\n```$", text[at[1] : at[2]], re.MULTILINE)
        # The alert and the page begin with the same command.
        assert said is not None, rule.page
        assert said.group(1) == rule.command, rule.page


def test_every_page_is_of_a_rule_and_in_the_index() -> None:
    index = (PAGES / "README.md").read_text("utf-8")
    pages = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    assert pages == {rule.page for rule in RULES.values()}
    assert {page for page in pages if f"]({page}.md)" not in index} == set()
    assert {name for name in RULES if f"`{name}`" not in index} == set()


def test_the_commands_of_the_rules_exist() -> None:
    shown = {rule.command for rule in RULES.values()}
    assert {text for text in shown if text.split()[1] not in commands()} == set()


def test_a_rule_that_nobody_knows_is_told_all_the_same() -> None:
    assert rule_of("something_new") == RULES["integrity"]


def test_causes_of_gaps_are_those_of_the_contract() -> None:
    accepted = next(column for column in GAPS.columns if column.name == "cause").accepted
    assert accepted is not None
    assert "quarantined" in accepted


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_shows_only_commands_and_links_that_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    shown = {found.split("|")[0] for found in re.findall(r"(?:^|`)(?:RRR_DEBUG=1 )?rrr ([a-z-]+(?: [a-z]+)?)", text, re.MULTILINE)}
    assert {name for name in shown if name not in commands() and name.split()[0] not in commands()} == set()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert [link for link in links if not (page.parent / link).exists()] == []
