"""The project as somebody gets it: a fresh clone, and the built wheel in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("RRR_", "DAGSTER_", "PYTHON"))}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env={**env, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.mark.slow
def test_the_built_wheel_carries_its_sql_and_settings(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", cwd=ROOT)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    empty = tmp_path / "empty"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", empty, wheel, cwd=tmp_path)
    assert not list(empty.glob("sql")), "the SQL lies inside the package"
    # Run from the empty folder, so that the checkout cannot lend anything.
    command = (sys.executable, "-m", "rrr_assets.cli")
    home = str(tmp_path / "home")
    try:
        run(*command, "run", "--trades", "2000", "--days", "1", "--instruments", "2", cwd=empty, RRR_HOME=home, PYTHONPATH=str(empty))
        where = run(sys.executable, "-c", "import rrr_assets; print(rrr_assets.__file__)", cwd=empty, PYTHONPATH=str(empty)).stdout
        assert Path(where.strip()).is_relative_to(empty)
        counted = run(
            *command, "sql", "select count(*) from raw_trades", "--format", "csv", cwd=empty, RRR_HOME=home, PYTHONPATH=str(empty)
        )
        assert counted.stdout.split() == ["count", "2000"]
    finally:
        run(*command, "down", cwd=empty, RRR_HOME=home, PYTHONPATH=str(empty))


@pytest.mark.slow
def test_a_fresh_clone_runs_the_main_job(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, clone, cwd=tmp_path)
    command = (sys.executable, "-m", "rrr_assets.cli")
    # From the clone's folder, with the environment that set-up made: what is not committed is not there.
    try:
        done = run(*command, "run", "--trades", "2000", "--days", "1", "--instruments", "2", cwd=clone, PYTHONPATH=str(clone))
        assert "no bar is unexplained" in done.stdout
        assert (clone / ".rrr").is_dir()
    finally:
        run(*command, "down", cwd=clone, PYTHONPATH=str(clone))
