"""Conventions that no linter knows: each is a small scanner, and each scanner is shown to find what it looks for.

Belongs here: rules that hold for every file of a kind. Does not: what ruff, mypy, import-linter and sqlfluff check.
An exception is written where it is needed, with its reason: `# not money: <reason>` on the line of a float that is
a measure of something else, a duration or a rate.
"""

import ast
import io
import re
import subprocess
import tokenize
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "rrr_assets"
MONEY_PATHS = ("contracts", "calc", "venues", "ticks", "bars", "orders", "warehouse")

MODULES = sorted(PACKAGE.rglob("*.py"))
# Scores, ratios and durations of the quality ledgers are statistics, and say so in their names.
STATISTICS = re.compile(
    r"(quality(_[a-z_0-9]+)?|features|feature_ticks)\.py|quality_[a-z_0-9]+\.sql|(0024_quality|0025_status_and_alerts|0027_features|0030_feature_drift)\.sql"
)
MONEY_MODULES = sorted(
    module
    for part in MONEY_PATHS
    for module in (PACKAGE / part).rglob("*.py")
    if not (STATISTICS.fullmatch(module.name) or module.parent.name == "features")
)
SQL_FILES = sorted((ROOT / "sql").rglob("*.sql"))

Finding = tuple[int, str]
"""Line number, and what stands there."""


def _findings(scan: Callable[[str], Iterator[Finding]], files: list[Path]) -> list[str]:
    return [f"{file.relative_to(ROOT)}:{line}: {what}" for file in files for line, what in scan(file.read_text(encoding="utf-8"))]


# --- the repository ---------------------------------------------------------------------------------------------


def _repository_files() -> list[str]:
    """Files that are tracked, or would be if everything were added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files are tracked is unknown")
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


# Letters in brackets keep this file from finding itself.
_REGISTRY = re.compile(
    r'--(extra-)?inde[x]-url|/simpl[e]/|"resolve[d]": *"http|registr[y] = "http|pythonhoste[d]\.org|registry\.npmj[s]\.org'
)
_HOME_PATH = re.compile(r"(?<![\w.$}~-])/(root|home/[a-z][\w.-]*|Users/\w[\w.-]*)/")


def _local_addresses(text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in ((_REGISTRY, "address of a package registry"), (_HOME_PATH, "path in somebody's home")):
            if found := pattern.search(line):
                yield number, f"{what}: {found.group()}"


def test_the_lock_with_addresses_is_not_tracked() -> None:
    assert [name for name in _repository_files() if Path(name).name == "uv.lock"] == []


def test_no_address_of_a_registry_and_no_home_path_is_tracked() -> None:
    texts = []
    for name in _repository_files():
        content = (ROOT / name).read_bytes()
        if b"\0" not in content:
            texts += [f"{name}:{line}: {what}" for line, what in _local_addresses(content.decode("utf-8", errors="replace"))]
    assert texts == []


@pytest.mark.parametrize(
    "line",
    [
        "--extra-inde" + "x-url https://packages.example.org/",
        "https://packages.example.org/simpl" + "e/numpy/",
        "data = Path('/ho" + "me/alice/ticks')",
        "cd /ro" + "ot/project",
    ],
)
def test_an_address_is_found(line: str) -> None:
    assert len(list(_local_addresses(line))) == 1


def test_the_lock_is_hashed_and_names_no_place() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    requirements = [line for line in lines if line and line[0] not in " #"]
    assert requirements
    assert [line for line in requirements if not re.match(r"[a-z0-9._-]+(\[[a-z0-9, ._-]+\])?==\S+ (; .* )?\\$", line)] == []
    assert [line for line in lines if "://" in line] == []


def test_the_lock_holds_what_the_project_declares() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {found[1]: found[2] for found in re.finditer(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", lock, re.MULTILINE)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = [Requirement(text) for group in groups for text in group]
    assert [str(need) for need in declared if need.name not in locked or locked[need.name] not in need.specifier] == []
    assert [str(need) for need in declared if not any(part.operator in {">=", "=="} for part in need.specifier)] == []


_MIGRATION = re.compile(r"\d{4}_[a-z0-9_]+(\.(timescaledb|postgresql))?\.sql")


def test_migrations_are_named_by_number_words_and_engine() -> None:
    migrations = [file.name for file in (ROOT / "sql" / "migrations").iterdir() if not file.name.startswith(".")]
    assert [name for name in migrations if not _MIGRATION.fullmatch(name)] == []


@pytest.mark.parametrize("name", ["7_bars.sql", "0007-bars.sql", "0007_bars.mysql.sql", "0007_bars.py", "0007_bars.rollback.sql"])
def test_another_migration_name_is_found(name: str) -> None:
    assert not _MIGRATION.fullmatch(name)


# --- modules ----------------------------------------------------------------------------------------------------


def test_every_module_has_a_docstring() -> None:
    assert MODULES
    bare = [module for module in MODULES if not ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))]
    assert [str(module.relative_to(ROOT)) for module in bare] == []


_CATCH_ALL = {"Exception", "BaseException"}


def _catches_everything(source: str) -> Iterator[Finding]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(kind is None or (isinstance(kind, ast.Name) and kind.id in _CATCH_ALL) for kind in caught):
                yield node.lineno, "catches everything"


def test_nothing_catches_everything() -> None:
    assert _findings(_catches_everything, MODULES) == []


@pytest.mark.parametrize("handler", ["except:", "except Exception:", "except BaseException as error:", "except (OSError, Exception):"])
def test_a_catch_all_is_found(handler: str) -> None:
    assert [line for line, _ in _catches_everything(f"try:\n    go()\n{handler}\n    pass\n")] == [3]


def _naive_times(source: str) -> Iterator[Finding]:
    """Calls that give a local time, or a time without zone, whichever name datetime was imported under."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = node.func.attr
        has_zone = any(word.arg == "tz" for word in node.keywords)
        of_datetime = ast.unparse(node.func.value).rpartition(".")[2] in {"datetime", "date", "dt"}
        if name in {"utcnow", "utcfromtimestamp"} or (name == "today" and of_datetime):
            yield node.lineno, f"{name}() has no time zone"
        elif name == "now" and of_datetime and not (has_zone or node.args):
            yield node.lineno, "now() without tz"
        elif name == "fromtimestamp" and not (has_zone or len(node.args) > 1):
            yield node.lineno, "fromtimestamp() without tz"


def test_no_time_without_a_zone_is_made() -> None:
    assert _findings(_naive_times, MODULES) == []


@pytest.mark.parametrize(
    "call",
    [
        "datetime.now()",
        "dt.datetime.now()",
        "datetime.utcnow()",
        "date.today()",
        "datetime.fromtimestamp(1)",
        "datetime.utcfromtimestamp(1)",
    ],
)
def test_a_naive_time_is_found(call: str) -> None:
    assert len(list(_naive_times(f"at = {call}\n"))) == 1


@pytest.mark.parametrize("call", ["datetime.now(UTC)", "datetime.now(tz=UTC)", "datetime.fromtimestamp(1, UTC)", "clock.now()"])
def test_a_time_with_a_zone_is_none(call: str) -> None:
    assert list(_naive_times(f"at = {call}\n")) == []


# --- money ------------------------------------------------------------------------------------------------------

_FLOAT_TYPES = {"float16", "float32", "float64", "Float32", "Float64", "halffloat", "double", "longdouble"}
_FLOAT_SQL = re.compile(r"\b(double\s+precision|float[48]?|real)\b", re.IGNORECASE)
_FLOAT_SQL_IN_TEXT = re.compile(r"\b(double\s+precision|float[48])\b", re.IGNORECASE)
_DURATION = re.compile(r"(^|_)(seconds|timeout|s)$")
_EXCEPTION = re.compile(r"#\s*not money:\s*\w.{7,}")


def _floats_in_python(source: str) -> Iterator[Finding]:
    """Uses of a floating-point type: the builtin, an Arrow, Polars or NumPy type, its name in a string.

    Not meant: docstrings, annotations of durations (`timeout: float`, `wait_s: float`), lines with a reasoned exception.
    Floats that a division of integers makes are left to the property tests against Python's decimal.
    """
    excepted = {
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT and _EXCEPTION.match(token.string)
    }
    tree = ast.parse(source)
    passed_over = set(_inside_docstrings(tree)) | set(_inside_durations(tree))
    for node in ast.walk(tree):
        what = _float_named_by(node)
        if what and node not in passed_over and not excepted & set(range(node.lineno, node.end_lineno + 1)):
            yield node.lineno, f"{what} on a money path"


def _float_named_by(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id="float"):
            return "float"
        case ast.Attribute(attr=attribute) if attribute in _FLOAT_TYPES:
            return attribute
        case ast.Constant(value=str(text)) if text in _FLOAT_TYPES or _FLOAT_SQL_IN_TEXT.search(text):
            return f"{text!r}"
        case _:
            return None


def _inside_docstrings(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def _inside_durations(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name, annotation=ast.AST() as annotation) if _DURATION.search(name):
                yield from ast.walk(annotation)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if _DURATION.search(name):
                yield from ast.walk(annotation)
            case ast.FunctionDef(name=name, returns=ast.AST() as annotation) if _DURATION.search(name):
                yield from ast.walk(annotation)


def _floats_in_sql(source: str) -> Iterator[Finding]:
    """Names of floating-point types outside comments and quoted text."""

    def blank(found: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", found.group())

    code = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"", blank, source, flags=re.DOTALL)
    for found in _FLOAT_SQL.finditer(code):
        yield code.count("\n", 0, found.start()) + 1, f"{found.group()} on a money path"


def test_no_float_stands_on_a_money_path() -> None:
    exact_sql = [file for file in SQL_FILES if not STATISTICS.fullmatch(file.name)]
    assert MONEY_MODULES
    assert exact_sql
    assert _findings(_floats_in_python, MONEY_MODULES) + _findings(_floats_in_sql, exact_sql) == []


@pytest.mark.parametrize(
    "line",
    [
        "price = float(text)",
        "def mid(bid: float) -> int: ...",
        "prices = column.astype(float)",
        "kind = pa.float64()",
        "frame.cast(pl.Float64)",
        "pc.cast(column, 'double')",
        "cursor.execute('select price::double precision from raw_trades')",
        "price = float(text)  # not money:",
    ],
)
def test_a_float_in_python_is_found(line: str) -> None:
    assert [number for number, _ in _floats_in_python(f'"""Float and double precision."""\n{line}\n')] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "timeout: float = 3.5",
        "def wait(for_seconds: float, poll_s: float = 0.1) -> None: ...",
        "share = float(done)  # not money: the progress bar's part",
        '"""A double precision candlestick is refused."""',
        "floating = total // 2",
    ],
)
def test_what_is_no_money_passes(line: str) -> None:
    assert list(_floats_in_python(f"{line}\n")) == []


def test_a_float_in_sql_is_found_outside_comments_and_quotes() -> None:
    sql = "-- real\ncreate table t (\n    a double  precision, /* float8\n*/ b real, c text default 'real', \"float\" int\n);\n"
    assert list(_floats_in_sql(sql)) == [(3, "double  precision on a money path"), (4, "real on a money path")]
