"""The page on adding a format: its example is run, and the names in it are those of the code."""

import importlib
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from rrr_assets.contracts.parsed import TRADES
from rrr_assets.venues.base import Source, SourceFacts, SourceRefused

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "adding-a-format.md").read_text("utf-8")
LINES = ["id,time,price,size,side", "7,1704153600123,42000.1,0.5,sell", "8,1704153600124,x,1,buy", "9", "10,1704153600125,42000.2,1,buy"]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    [source] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    module = ModuleType("example")
    exec(compile(source, "docs/adding-a-format.md", "exec"), vars(module))  # noqa: S102  # it is this repository's own page
    return module


def write(folder: Path, *lines: str, end: str = "\n") -> Source:
    path = folder / "trades.csv"
    path.write_text("\n".join(lines) + end)
    return Source(path, path.name, "coinbase:BTCUSD")


def test_the_example_of_the_page_is_a_format(example: ModuleType, tmp_path: Path) -> None:
    source, parser = write(tmp_path, *LINES), example.Trades()
    facts = parser.inspect(source)
    assert isinstance(facts, SourceFacts)
    assert (facts.instrument, facts.declared) == ("coinbase:BTCUSD", None)
    [batch] = parser.parse(source, facts)
    assert batch.rows.schema == TRADES
    first, last = batch.rows.to_pylist()
    assert (first["line"], first["sequence"], first["price"], first["size"], first["side"]) == (
        2,
        7,
        Decimal("42000.1"),
        Decimal("0.5"),
        "sell",
    )
    assert first["event_time"] == datetime(2024, 1, 2, 0, 0, 0, 123000, UTC)
    assert (last["line"], last["sequence"], last["side"]) == (5, 10, "buy")
    assert [(row["line"], row["reason"]) for row in batch.refused.to_pylist()] == [(3, "not_a_number"), (4, "columns")]
    assert batch.passed_over == 1
    assert parser.raw_lines(source, [3, 9]) == {3: LINES[2]}


@pytest.mark.parametrize(
    ("lines", "end", "reason"), [(["a,b"], "\n", "not example-trades"), ([*LINES[:2], "8,1704153600"], "", "truncated"), ([], "", "empty")]
)
def test_the_example_refuses_what_the_page_says(example: ModuleType, tmp_path: Path, lines: list[str], end: str, reason: str) -> None:
    with pytest.raises(SourceRefused, match=reason):
        example.Trades().inspect(write(tmp_path, *lines, end=end))


def test_the_names_on_the_page_are_in_the_code() -> None:
    modules = [
        importlib.import_module(f"rrr_assets.{name}")
        for name in (
            "venues.base",
            "venues.content",
            "venues.csv_text",
            "venues.names",
            "venues.rows",
            "venues.rows_of_many",
            "venues.registry",
        )
    ]
    known = {name for module in modules for name in vars(module)}
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([A-Z][A-Za-z]+|[a-z]+(?:_[a-z]+)+)`", prose)) - {"trade_id", "update_id", "time_unit"}
    tests = {name for name in named if name.startswith("test_")}
    assert len(named - tests) > 10
    assert named - tests - known == set()
