"""The pages hold to the code: commands, variables, links, names of tests and files, the tables, the formats.

Belongs here: what can be compared without running the platform. Does not: whether a page is well said.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from rrr_assets.cli import app
from rrr_assets.contracts import document
from rrr_assets.contracts.catalogue import TABLES
from rrr_assets.venues import registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")] + sorted((ROOT / "docs").glob("*.md"))
README = (ROOT / "README.md").read_text("utf-8")

_VARIABLE = re.compile(r"\bRRR_[A-Z]+(?:_[A-Z]+)*\b")
_VARIABLE_ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
_COMMAND = re.compile(r"(?:^\$ |^|`)rrr ([a-z]+(?:-[a-z]+)*)(?: ([a-z]+)\b)?([^\n`]*?)(?:`|$)", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"(rrr_assets|rrr_assets_tests|sql|docs|tools|\.ci)/[\w./-]*")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


# --- commands ---------------------------------------------------------------------------------------------------


@cache
def commands() -> dict[str, set[str]]:
    """Every command as it is typed, with its options."""
    group = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():
        found[name] = {option for parameter in command.params for option in parameter.opts}
        for inner, subcommand in getattr(command, "commands", {}).items():
            found[f"{name} {inner}"] = {option for parameter in subcommand.params for option in parameter.opts}
    return found


def shown_commands(text: str) -> Iterator[tuple[str, str]]:
    """(command, the rest of it) for each `rrr ...` of a page: in code, or at the start of a line of a block."""
    for found in _COMMAND.finditer(text):
        name, inner, rest = found[1], found[2], found[3]
        both = f"{name} {inner}"
        yield (both if both in commands() else name), f"{inner or ''}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    shown = list(shown_commands(page.read_text("utf-8")))
    assert [name for name, _ in shown if name not in commands()] == []
    wrong = [
        f"rrr {name} {option}" for name, rest in shown for option in _OPTION.findall(rest) if option not in commands()[name] | {"--help"}
    ]
    assert wrong == []


def test_the_readme_shows_every_command() -> None:
    shown = {name for name, _ in shown_commands(README)}
    assert set(commands()) - shown - {"instruments list", "quarantine list", "batch list"} == set()


def test_a_command_that_is_not_there_is_found() -> None:
    text = "```\n$ rrr fetch-all --now\nrrr quarantine replay --reason scale\n```\nand `rrr bars X --colour red` or `rrr instruments set X`"
    assert [name for name, _ in shown_commands(text)] == ["fetch-all", "quarantine replay", "bars", "instruments set"]
    assert [_OPTION.findall(rest) for _, rest in shown_commands(text)] == [["--now"], ["--reason"], ["--colour"], []]


def test_every_target_that_a_page_shows_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = {(page.name, name) for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE)}
    assert shown
    assert sorted(each for each in shown if each[1] not in targets and each[1] != "-k") == []


# --- variables --------------------------------------------------------------------------------------------------


def variables_in(source: str) -> set[str]:
    """Variables that a module speaks of in its code: in any text but docstrings."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    return {name for text in texts for name in _VARIABLE.findall(text)}


def variables_read(source: str) -> set[str]:
    """Variables that a module reads: `os.environ["X"]`, `os.environ.get("X")` and the like."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name))):
                found.add(name)
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ")), args=[ast.Constant(value=str(name)), *_]):
                found.add(name)
    return {name for name in found if name.startswith("RRR_")}


def used_variables(folder: str) -> set[str]:
    return {name for module in (ROOT / folder).rglob("*.py") for name in variables_in(module.read_text("utf-8"))}


def documented_variables() -> set[str]:
    return {name for name in _VARIABLE_ROW.findall(README) if name.isupper()}


def test_the_readme_lists_every_variable_of_the_code() -> None:
    scripts = {name for file in ("Makefile", ".ci/run", "tools/setup") for name in _VARIABLE.findall((ROOT / file).read_text("utf-8"))}
    tests = {name for module in (ROOT / "rrr_assets_tests").rglob("*.py") for name in variables_read(module.read_text("utf-8"))}
    assert (used_variables("rrr_assets") | scripts | tests) - documented_variables() == set()


def test_every_variable_of_the_readme_is_used() -> None:
    used = used_variables("rrr_assets") | used_variables("rrr_assets_tests") | {"DAGSTER_HOME"}
    assert documented_variables()
    assert documented_variables() - used == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_pages_speak_of_documented_variables(page: Path) -> None:
    assert set(_VARIABLE.findall(page.read_text("utf-8"))) - documented_variables() == set()


def test_a_variable_is_found_in_code_and_not_in_docstrings() -> None:
    source = '"""RRR_OLD."""\nimport os\nhome = os.environ["RRR_NEW"]  # RRR_REMARK\nsay(f"set RRR_SAID to {home}")\n'
    assert variables_in(source) == {"RRR_NEW", "RRR_SAID"}
    assert variables_read(source + 'os.environ.get("RRR_GOT", "")\n') == {"RRR_NEW", "RRR_GOT"}


# --- links and names --------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosts of repositories make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path, text: str) -> list[str]:
    dead = []
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page, page.read_text("utf-8")) == []


def test_a_dead_link_is_found() -> None:
    text = "[a](docs/rules.md) [b](docs/none.md) [c](docs/rules.md#bars) [d](#none) [e](https://example.org/x)"
    assert dead_links(ROOT / "README.md", text) == ["docs/none.md", "#none"]


@cache
def names_of_tests() -> frozenset[str]:
    tests = list((ROOT / "rrr_assets_tests").rglob("test_*.py"))
    functions = {name for file in tests for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)}
    return frozenset(functions | {file.stem for file in tests})


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_tests_and_files_that_a_page_names_exist(page: Path) -> None:
    code = _CODE.findall(page.read_text("utf-8"))
    tests = {name for text in code for name in re.findall(r"(?<![\w/])test_\w+", text)}
    assert sorted(tests - names_of_tests()) == []
    paths = {text for text in code if _PATH.fullmatch(text)}
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


# --- tables and formats -----------------------------------------------------------------------------------------


def test_the_page_of_tables_is_up_to_date() -> None:
    assert (ROOT / document.PAGE).read_text("utf-8") == document.page(), "run python -m rrr_assets.contracts.document"


def test_the_page_of_tables_has_every_column() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", document.page(), re.MULTILINE | re.DOTALL))
    assert set(sections) == set(TABLES)
    for name, table in TABLES.items():
        assert re.findall(r"^\| `(\w+)` \|", sections[name], re.MULTILINE) == list(table.column_names)


def test_the_table_of_formats_equals_the_registry() -> None:
    page = (ROOT / "docs" / "formats.md").read_text("utf-8")
    table = page.partition("|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()]
    assert rows == [(f"`{name}`", evidence, description) for name, evidence, description in registry.describe()]
    assert set(re.findall(r"^### ([a-z-]+)$", page, re.MULTILINE)) == set(registry.FORMATS)
