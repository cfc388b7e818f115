"""Numbers as people are told them."""

from pathlib import Path

import pyarrow as pa
import pytest

from rrr_assets.calc.words import counted
from rrr_assets.cli.output import emit
from rrr_assets.contracts.features import FEATURES_1M


def test_one_of_something_is_no_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [counted(number, "row") for number in (0, 1, 2, 1440)] == ["0 rows", "1 row", "2 rows", "1,440 rows"]
    for rows, said in ((1, "1 row is in"), (2, "2 rows are in")):
        emit(pa.table({"a": list(range(rows))}), None, out=tmp_path / "a.csv")
        assert capsys.readouterr().err.startswith(said)


def test_a_unit_is_told_plainly_where_the_type_stands_beside_it() -> None:
    spread = FEATURES_1M.column("quoted_spread")
    assert (spread.unit, spread.told.endswith(". [bps]"), spread.comment.endswith(". [in doubles: bps]")) == ("bps", True, True)
