"""Defects with known truth: what the checks find of a thousand injections, and that they say nothing on clean days.

Belongs here: the figures, the table and the picture of recall and precision. Does not: the verdict (simulator/truth), the way through the
platform (rrr_assets_tests/injected).
"""

import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rrr_assets.simulator import Simulation, simulate
from rrr_assets.simulator.truth import ANOMALIES, Reported, Score, score
from rrr_assets.warehouse.connect import Database
from rrr_assets.warehouse.home import Home
from rrr_assets_tests import injected
from rrr_assets_tests.bench import ground
from rrr_assets_tests.bench.figures import Figure
from rrr_assets_tests.platform import Platform

SEED = 7
START = date(2025, 3, 3)
DAYS = 30
INJECTIONS = 1000
TRADES = 2_000
PICTURE = Path("build/reports/defects.png")
_HARD_RECALL = 0.99
_SHOWN = 12


@dataclass(frozen=True)
class Looked:
    """A simulation that went through the platform: the verdict, what is left once the late files came, and how long it took."""

    simulation: Simulation
    verdict: Score
    healed: float
    rows: int
    seconds: dict[str, float]


def measure(days: int = DAYS, injections: int = INJECTIONS, seed: int = SEED) -> list[Figure]:
    """Measure both: days with injections, and the same days without."""
    with ground.own_home() as home:
        wrong = run(home, days, injections, seed)
    with ground.own_home() as home:
        clean = run(home, days, 0, seed)
    show(wrong.verdict, clean.verdict)
    draw(wrong.verdict, PICTURE, f"{injections} injections over {days} days, seed {seed}")
    return _figures(wrong, clean, days, seed)


def run(home: Home, days: int, injections: int, seed: int) -> Looked:
    """Simulate, take in, look, and hold what was found against the truth; then take in what came late, and look again."""
    seconds = {}
    platform = Platform(Database.current(), home)
    with tempfile.TemporaryDirectory() as folder:
        chosen = [START + timedelta(days=number) for number in range(days)]
        simulation = simulate(
            Path(folder), chosen, injected.INSTRUMENTS, TRADES * len(injected.INSTRUMENTS) * days, seed, quotes=True, injections=injections
        )
        begun = time.perf_counter()
        injected.take_in(platform, simulation)
        injected.expect(platform, simulation)
        seconds["take in"] = round(time.perf_counter() - begun, 1)
        begun = time.perf_counter()
        injected.look(platform, chosen)
        seconds["look"] = round(time.perf_counter() - begun, 1)
        begun = time.perf_counter()
        verdict = score(simulation.injections, injected.reports(platform), injected.absorbed(platform, simulation))
        seconds["score"] = round(time.perf_counter() - begun, 1)
        healed = 1.0
        if late := [one for one in simulation.injections if one.kind == "late"]:
            injected.take_in(platform, simulation, is_held_back=True)
            after = score(late, injected.reports(platform), {})  # the load that brings the rows heals their gap
            healed = 1 - after.recall("page")
        rows = sum(file.rows for file in simulation.files)
    return Looked(simulation, verdict, healed, rows, seconds)


def show(verdict: Score, clean: Score) -> None:
    """The tables, and the first of what was missed or false."""
    console = Console(soft_wrap=True)
    kinds = Table("kind", "must", "injected", "right", "recall", "told by")
    for each in verdict.kinds:
        told = ", ".join(f"{rule} {count}" for rule, count in sorted(each.told_by.items()))
        kinds.add_row(each.kind, each.severity, str(each.injected), str(each.found), f"{each.recall:.4f}", told)
    console.print(kinds)
    rules = Table("rule", "rows", "of its own injection", "following from another", "false", "precision", "rows on clean days")
    on_clean = {each.rule: each.reported for each in clean.rules}
    for rule in verdict.rules:
        cells = (rule.reported, rule.telling, rule.following, len(rule.false))
        rules.add_row(rule.rule, *map(str, cells), f"{rule.precision:.4f}", str(on_clean.get(rule.rule, 0)))
    console.print(rules)
    for each in verdict.kinds:
        for one in each.missed[:_SHOWN]:
            place = f"{one.instrument} {'+'.join(one.streams)} {one.since:%Y-%m-%d %H:%M:%S} to {one.until:%H:%M:%S}"
            console.print(f"not right: {one.kind} {place}, {one.rows} rows, size {one.size}", highlight=False)
    for title, pages in (("false page", verdict.false_pages), ("page on a clean day", clean.false_pages)):
        for report in _some(pages):
            console.print(f"{title}: {report}", highlight=False)


def draw(verdict: Score, path: Path, title: str) -> None:
    """Recall of each kind, and precision of each rule, as bars."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(12, 7.2), layout="constrained")
    left, right = picture.subplots(1, 2)
    for axes, what, bars in (
        (left, "recall, of injections", [(each.kind, each.recall, each.injected) for each in verdict.kinds]),
        (right, "precision, of rows reported", [(each.rule, each.precision, each.reported) for each in verdict.rules]),
    ):
        names = [f"{name} ({number})" for name, _, number in bars]
        colors = ["#1b9e77" if share >= _HARD_RECALL else "#d1495b" for _, share, _ in bars]
        axes.barh(names, [share for _, share, _ in bars], color=colors)
        for place, (_, share, _) in enumerate(bars):
            axes.text(min(share, 0.98) - 0.01, place, f"{share:.3f}", ha="right" if share > 0.1 else "left", va="center", color="#ffffff")
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.set_title(what, loc="left", fontsize=11)
        axes.spines[["top", "right"]].set_visible(False)
    picture.suptitle(title, fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=100, metadata={"Software": None})


def _figures(wrong: Looked, clean: Looked, days: int, seed: int) -> list[Figure]:
    verdict = wrong.verdict
    by_kind: dict[str, Any] = {each.kind: f"{each.found}/{each.injected}" for each in verdict.kinds}
    by_rule = {each.rule: f"{each.reported - len(each.false)}/{each.reported}" for each in verdict.rules}
    per_day = len(injected.INSTRUMENTS) * days
    on_clean = Counter({each.rule: each.reported for each in clean.verdict.rules})
    some = {"seed": seed, "days": days, "injections": len(wrong.simulation.injections)}
    anomalies = [each for each in verdict.kinds if each.severity == "warn"]
    return [
        Figure("defects, recall of hard ones", round(verdict.recall("page"), 4), "of 1", 0.99, 1.0, details=some | by_kind),
        Figure("defects, pages on clean days", len(clean.verdict.false_pages), "pages", 0, 0, is_at_most=True, details=some),
        Figure("defects, pages without a cause", len(verdict.false_pages), "pages", 0, 0, is_at_most=True, details=some),
        Figure("defects, outages that page", round(1 - verdict.recall("leave"), 4), "of 1", 0, 0, is_at_most=True),
        Figure("defects, handled on the way in", round(verdict.recall("absorb"), 4), "of 1", 1.0, 1.0),
        Figure("defects, late ones healed", round(wrong.healed, 4), "of 1", 1.0, 1.0),
        Figure(
            "defects, recall of what warns",
            round(verdict.recall("warn"), 4),
            "of 1",
            details={each.kind: round(each.recall, 4) for each in anomalies},
        ),
        Figure("defects, precision of anomalies", round(verdict.precision(ANOMALIES), 4), "of 1", details=some | by_rule),
        Figure(
            "defects, anomalies on clean days",
            round(sum(on_clean[rule] for rule in ANOMALIES) / per_day, 4),
            "per instrument and day",
            details={rule: count for rule, count in sorted(on_clean.items()) if count},
        ),
        Figure(
            "defects, taken in and looked at",
            round(sum(wrong.seconds.values()), 1),
            "s",
            600,
            is_at_most=True,
            details={"rows": wrong.rows, **wrong.seconds},
        ),
    ]


def _some(pages: Sequence[Reported]) -> list[Reported]:
    """The first few of each rule."""
    seen: Counter[str] = Counter()
    chosen = []
    for page in pages:
        seen[page.rule] += 1
        if seen[page.rule] <= _SHOWN:
            chosen.append(page)
    return chosen
