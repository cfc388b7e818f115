"""What the rows of the quality ledgers amount to, and how it is shown: budgets, notices, the page's text, the picture."""

import io
import json
import math
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrr_assets.calc.quality_config import DEFAULTS, QualitySettings, Sla
from rrr_assets.cli.quality import _show
from rrr_assets.contracts.quality import DAY_STATUSES
from rrr_assets.quality.page import page_html
from rrr_assets.quality.page_picture import MOST_LINES, heat_map_png
from rrr_assets.quality.report import MARKS, Budget, QualityReport, as_object, burnt_text, make_report, share_text, span_text
from rrr_assets.warehouse.quality_report import QualityRows
from rrr_assets_tests.quality_rows import TODAY, gap, judged, names, no_rows, run, some_rows

BTC = "binance:BTCUSDT"
YESTERDAY = TODAY - timedelta(days=1)
EVIL = "<script>alert('x')</script>"


def report_of(rows: QualityRows, settings: QualitySettings = DEFAULTS) -> QualityReport:
    return make_report(rows, settings)


def of_days(*days: object, objective: float = 0.999) -> dict[str, Budget]:
    rows = replace(some_rows([BTC]), days=days)
    [mine] = report_of(rows, QualitySettings(sla={"*": Sla(objective=objective)})).budgets
    return {part.measure: part for part in mine.parts}


# --- budgets ----------------------------------------------------------------------------------------------------


def test_a_budget_is_what_the_objective_leaves() -> None:
    parts = of_days(judged(BTC, YESTERDAY, completeness=0.999), judged(BTC, TODAY - timedelta(days=2)), objective=0.999)
    assert parts["completeness"].attained == pytest.approx(0.9995)
    assert parts["completeness"].burnt == pytest.approx(0.5)
    assert not parts["completeness"].is_over
    assert parts["validity"].burnt == 0


def test_a_day_that_is_not_over_does_not_count() -> None:
    parts = of_days(judged(BTC, TODAY, "pending", completeness=0.3, freshness=0.5), judged(BTC, YESTERDAY, conformance=None), objective=0.9)
    assert (parts["completeness"].attained, parts["freshness"].burnt) == (1, 0)
    assert (parts["conformance"].attained, parts["conformance"].burnt) == (None, None)


def test_an_objective_of_everything_has_no_budget() -> None:
    assert of_days(judged(BTC, YESTERDAY), objective=1.0)["completeness"].burnt == 0
    missed = of_days(judged(BTC, YESTERDAY, completeness=0.9), objective=1.0)["completeness"]
    assert missed.is_over
    assert burnt_text(missed.burnt) == "no budget"
    json.dumps(as_object(report_of(replace(some_rows([BTC]), days=(judged(BTC, YESTERDAY, completeness=0.9),)))), allow_nan=False)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.5, 0.9999))
def test_exactly_the_budget_is_not_over_it(shares: list[float], objective: float) -> None:
    days = [judged(BTC, TODAY - timedelta(days=n + 1), completeness=share) for n, share in enumerate(shares)]
    part = of_days(*days, objective=objective)["completeness"]
    assert part.attained is not None
    assert 0 <= part.attained <= 1
    assert part.is_over == (part.attained < objective - 1e-9 * (1 - objective)) or math.isclose(part.attained, objective, abs_tol=1e-12)
    assert 0 <= part.bar_percent <= 100
    exact = of_days(*[judged(BTC, TODAY - timedelta(days=n + 1), completeness=objective) for n in range(len(shares))], objective=objective)
    assert not exact["completeness"].is_over


@given(st.floats(0, 1))
def test_a_share_is_never_shown_as_whole_that_is_not(share: float) -> None:
    assert (share_text(share) == "100 %") == (share >= 1)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (93_900, "1 d 2 h"), (-5, "0 s")]
)
def test_a_span_is_told_by_its_largest_units(seconds: float, told: str) -> None:
    assert span_text(timedelta(seconds=seconds)) == told


# --- what is said first -----------------------------------------------------------------------------------------


def titles(rows: QualityRows) -> list[str]:
    return [notice.title for notice in report_of(rows).notices]


def test_nothing_is_said_where_the_checks_ran() -> None:
    assert titles(some_rows()) == []


def test_a_run_that_is_overdue_is_told_first() -> None:
    assert titles(some_rows(recent=timedelta(minutes=14, seconds=59))) == []
    assert titles(some_rows(recent=timedelta(minutes=15, seconds=1))) == ["The five-minute run is overdue"]
    assert titles(some_rows(daily=timedelta(hours=27))) == ["The daily run is overdue"]
    assert titles(some_rows(recent=None)) == ["The checks have not run yet"]


def test_a_check_that_broke_down_is_told_as_such() -> None:
    [notice] = report_of(some_rows(errors=("quotes: the table is gone",))).notices
    assert notice.title == "1 check of the last five-minute run broke down"
    assert "quotes: the table is gone" in notice.text


def test_an_empty_platform_says_what_to_do_next() -> None:
    [notice] = report_of(no_rows()).notices
    assert (notice.title, notice.command, notice.is_grave) == ("Nothing was taken in yet", "rrr run", False)
    page = page_html(report_of(no_rows()))
    assert "rrr run" in page
    assert "No instrument is known yet." in page


def test_the_latest_days_are_looked_at_first_and_the_missing_before_the_degraded() -> None:
    days = (judged(BTC, YESTERDAY, "degraded"), judged("a:B", YESTERDAY, "missing"), judged(BTC, TODAY - timedelta(days=5), "missing"))
    look = report_of(replace(some_rows([BTC]), days=days)).to_look_at
    assert [(day.status, day.day) for day in look] == [
        ("missing", YESTERDAY), ("degraded", YESTERDAY), ("missing", TODAY - timedelta(days=5)),
    ]  # fmt: skip


def test_the_share_of_available_days_leaves_out_what_is_not_over() -> None:
    days = (judged(BTC, TODAY, "pending"), judged(BTC, YESTERDAY), judged(BTC, TODAY - timedelta(days=2), "degraded"))
    report = report_of(replace(some_rows([BTC]), days=days))
    assert report.available_share == 0.5
    assert report.statuses == {"available": 1, "degraded": 1, "pending": 1, "missing": 0}
    assert [cell.status for cell in report.lines[0].cells][-4:] == [None, "degraded", "available", "pending"]


# --- the page ---------------------------------------------------------------------------------------------------


class Read(HTMLParser):
    """What a browser would make of a page: its elements, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element, line {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def evil_rows() -> QualityRows:
    rows = some_rows([f"binance:{EVIL}", BTC])
    days = (judged(f"binance:{EVIL}", YESTERDAY, "degraded", reasons=(EVIL, '" onmouseover="x')),)
    return replace(
        rows,
        days=days,
        gaps=(gap(1, f'a:"{EVIL}', rows.at, cause=EVIL, last_reason='" onmouseover="x'),),
        findings=tuple(replace(finding, rule=EVIL, examples=(EVIL,)) for finding in rows.findings),
        anomalies=tuple(replace(anomaly, instrument=EVIL, rule=EVIL) for anomaly in rows.anomalies),
        verdicts=tuple(replace(verdicts, venue=EVIL) for verdicts in rows.verdicts),
        runs=(run("recent", timedelta(minutes=3), [EVIL]), run("daily", None)),
        streams=tuple(replace(stream, instrument=EVIL, is_fresh=False) for stream in rows.streams),
        only=(EVIL,),
    )


@pytest.mark.parametrize("rows", [some_rows(), no_rows(), evil_rows(), some_rows(days=1), some_rows(names(1), days=400)])
def test_the_page_is_whole_and_names_nothing_outside(rows: QualityRows) -> None:
    page = Read(page_html(report_of(rows)))
    assert page.open == []
    assert {tag for tag, _ in page.elements} & {"script", "img", "iframe", "object", "form"} == set()
    named = [value for _, attributes in page.elements for name, value in attributes.items() if name in {"href", "src", "action", "data"}]
    assert named == ["data:,"]
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert "://" not in page_html(report_of(rows))


def test_what_comes_from_the_data_is_text() -> None:
    page = Read(page_html(report_of(evil_rows())))
    text = "".join(page.texts)
    assert text.count(EVIL) >= 10
    assert any(attributes.get("title") == '" onmouseover="x' for _, attributes in page.elements)


def test_every_day_has_a_sign_and_a_colour_and_says_why() -> None:
    rows = some_rows(names(3))
    page = page_html(report_of(rows))
    for status in DAY_STATUSES:
        assert page.count(f'<td class="{status}"') == sum(day.status == status for day in rows.days)
        assert f'">{MARKS[status]}</td>' in page or not any(day.status == status for day in rows.days)
    assert len(set(MARKS.values())) == len(MARKS)
    assert "417 ids are missing at 14:02" in page


def test_a_hundred_instruments_are_a_page_of_a_megabyte_at_most() -> None:
    page = page_html(report_of(some_rows(names(100))))
    assert len(page.encode()) < 1_000_000
    assert "88 more instruments" in page


# --- the terminal, the picture ----------------------------------------------------------------------------------


def test_the_terminal_shows_a_sign_for_each_day_and_no_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    rows = some_rows([BTC, "kraken:\x1b[31mX"])
    _show(report_of(rows))
    shown = capsys.readouterr().out
    [line] = [line for line in shown.splitlines() if line.startswith(f"{BTC}  ") and len(line.split()[-1]) == 30]
    held = {day.day: day.status for day in rows.days if day.instrument == BTC}
    assert line.split()[-1] == "".join(MARKS[held.get(TODAY - timedelta(days=n))] for n in reversed(range(30)))
    assert "\x1b" not in shown
    for words in (
        "Error budgets",
        "Days to look at",
        "Findings that page",
        "Open gaps",
        "Worst anomalies",
        "last five-minute run: ended 3 min ago",
    ):
        assert words in shown


def test_the_terminal_says_that_a_run_is_overdue(capsys: pytest.CaptureFixture[str]) -> None:
    _show(report_of(some_rows(recent=timedelta(hours=3))))
    assert capsys.readouterr().out.startswith("The five-minute run is overdue. The last one ended 2026-03-05 06:30 UTC, 3 h ago.")


def test_the_picture_shows_the_worst_of_many_and_nothing_of_none() -> None:
    from matplotlib import image

    assert heat_map_png(report_of(no_rows())) is None
    few, many = (heat_map_png(report_of(some_rows(names(count), days=5))) for count in (3, 100))
    assert few is not None
    assert many is not None
    heights = [image.imread(io.BytesIO(picture)).shape[0] for picture in (few, many)]
    assert heights[1] - heights[0] == 20 * (MOST_LINES - 3)
