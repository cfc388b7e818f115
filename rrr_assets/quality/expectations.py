"""The rules of a contract as a suite of Great Expectations, and what it says of a table or of a day of it.

Belongs here: making the suite, running it on PostgreSQL, reading its answer. Does not: the rules (contracts/rules), keeping and showing
what was said (validations, validation_page).

The library counts in SQL, as the role that can only read; no row but the few that break a rule comes here, and no page or file of it is
kept: its own pages load their styles from elsewhere. It is imported where it is used, which takes seconds.
"""

import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from rrr_assets.calc.outcomes import RelationGone
from rrr_assets.contracts.base import Range, Table
from rrr_assets.contracts.rules import NOT_FINITE, Kind, Rule, rules_of
from rrr_assets.warehouse.connect import Database, Role
from rrr_assets.warehouse.sqlfiles import query

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

_SILENT: Final = {"GX_ANALYTICS_ENABLED": "false"}
_ONE_DAY: Final = timedelta(days=1)
_EXAMPLES: Final = 5
_TIMEOUT_MS: Final = 600_000
_MOST_UNEXPECTED: Final = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one rule. `broken` counts rows; `error` says why it could not be asked, and then it is not met."""

    rule: str
    kind: str
    says: str
    expectation: str
    is_met: bool
    broken: int
    looked_at: int
    examples: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """One table, or a UTC day of it, held against its contract."""

    relation: str
    day: date | None
    at: datetime
    answers: tuple[Answer, ...]
    seconds: float

    @property
    def unmet(self) -> int:
        return sum(not answer.is_met for answer in self.answers)

    @property
    def is_success(self) -> bool:
        return not self.unmet


@contextmanager
def validator(database: Database) -> Iterator["Validator"]:
    """Great Expectations on a database, without a file, a page, or a word to anybody else.

    Raises:
        RelationGone: a table that is validated was dropped.
    """
    os.environ.update(_SILENT)
    with warnings.catch_warnings():
        # What it deprecates inside itself is not ours to mend.
        warnings.simplefilter("ignore")
        import great_expectations as gx

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        context: Any = gx.get_context(mode="ephemeral")  # its own types know neither of these two settings
        context.variables.progress_bars = {"globally": False}
        options = f"-c TimeZone=UTC -c statement_timeout={_TIMEOUT_MS}"
        source = context.data_sources.add_postgres(
            "rrr",
            connection_string=_address(database),
            kwargs={"connect_args": {"options": options, "application_name": "rrr validation"}},
        )
        batches: set[str] = set()
        _never_fetch(source.get_execution_engine().engine, batches)
        try:
            yield Validator(database, context, source, batches)
        finally:
            source.get_execution_engine().engine.dispose()


@dataclass(frozen=True, slots=True)
class Validator:
    """One session of the library."""

    database: Database
    context: Any
    source: Any
    batches: set[str]

    def validate(self, table: Table, day: date | None = None, *, relation: str | None = None) -> Validation:
        """Hold a table, or a UTC day of it by its time column, against its contract.

        Args:
            table: the contract.
            day: the day; None for the table as a whole.
            relation: the table to look at where it is not the one that the contract names.
        """
        name = relation or table.name
        begun, at = time.perf_counter(), datetime.now(UTC)
        rules = [rule for rule in rules_of(table) if rule.kind is not Kind.KEY or table.identity is None]
        with self.database.connect(Role.ANALYST, autocommit=True) as connection:
            if connection.execute("select to_regclass(%s)", (name,)).fetchone() == (None,):
                raise RelationGone(f'relation "{name}" does not exist')
            batch = _batch(table, name, day).as_string(connection)
        self.batches.add(batch)
        label = f"{name} {day or ''}".strip()
        definition = self.source.add_query_asset(name=f"{label} {begun}", query=batch).add_batch_definition_whole_table(label)
        asked = [*(expectation_of(rule) for rule in rules), _columns_of(table)]
        result = definition.get_batch().validate(
            _suite(label, asked), result_format={"result_format": "SUMMARY", "partial_unexpected_count": _MOST_UNEXPECTED}
        )
        answers = _answers(result, [*rules, None])
        return Validation(table.name, day, at, tuple(answers), time.perf_counter() - begun)


def _never_fetch(engine: Any, batches: set[str]) -> None:
    """To learn the columns of a batch the library asks for all its rows and throws them away: let there be none of them."""
    from sqlalchemy import event

    def before(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> tuple[str, Any]:
        return (f"{statement} limit 0" if statement.strip() in batches else statement), parameters

    event.listen(engine, "before_cursor_execute", before, retval=True)


def _address(database: Database) -> str:
    """As the analyst, by the driver that Dagster's storage uses too. A dollar would be taken for a variable."""
    return database.role_urls[Role.ANALYST].replace("postgres://", "postgresql://", 1).replace(
        "postgresql://", "postgresql+psycopg2://", 1
    ).replace("$", "%24")  # fmt: skip


def _batch(table: Table, name: str, day: date | None) -> sql.Composed:
    if day is None or table.time_column is None:
        return sql.SQL("select * from {}").format(sql.Identifier(name))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return sql.SQL("select * from {0} where {1} >= {2} and {1} < {3}").format(
        sql.Identifier(name), sql.Identifier(table.time_column), sql.Literal(start), sql.Literal(start + _ONE_DAY)
    )


def _suite(name: str, expectations: Sequence["Expectation"]) -> Any:
    import great_expectations as gx

    return gx.ExpectationSuite(name=name, expectations=list(expectations))


def _columns_of(table: Table) -> "Expectation":
    return _made("ExpectTableColumnsToMatchOrderedList", {"column_list": list(table.column_names)})


def expectation_of(rule: Rule) -> "Expectation":
    """A rule in the library's words. What it has no word for on SQL is a query of ours, which it runs."""
    return _made(*_in_its_words(rule))


def _made(kind: str, values: Mapping[str, Any]) -> "Expectation":
    import great_expectations.expectations as gxe

    made: Expectation = getattr(gxe, kind)(**values)
    return made


def _in_its_words(rule: Rule) -> tuple[str, dict[str, Any]]:
    column = rule.columns[0]
    bounds = rule.range or Range()
    single = len(rule.columns) == 1
    compound = {"column_list": list(rule.columns), "ignore_row_if": "never"}
    once = ("ExpectColumnValuesToBeUnique", {"column": column}) if single else ("ExpectCompoundColumnsToBeUnique", compound)
    words: dict[Kind, tuple[str, dict[str, Any]]] = {
        Kind.NULL: ("ExpectColumnValuesToNotBeNull", {"column": column}),
        Kind.ACCEPTED: ("ExpectColumnValuesToBeInSet", {"column": column, "value_set": list(rule.accepted)}),
        Kind.FINITE: ("ExpectColumnValuesToNotBeInSet", {"column": column, "value_set": list(NOT_FINITE)}),
        Kind.RANGE: (
            "ExpectColumnValuesToBeBetween",
            {"column": column, "min_value": bounds.minimum, "max_value": bounds.maximum, "strict_min": bounds.is_above},
        ),
        Kind.ORDERED: (
            "ExpectColumnPairValuesAToBeGreaterThanB",
            {"column_A": rule.columns[-1], "column_B": column, "or_equal": True, "ignore_row_if": "either_value_is_missing"},
        ),
        Kind.KEY: once,
        Kind.IDENTITY: once,
        Kind.IN_ORDER: ("UnexpectedRowsExpectation", {"unexpected_rows_query": _steps(rule) if rule.kind is Kind.IN_ORDER else ""}),
    }
    return words[rule.kind]


def _steps(rule: Rule) -> str:
    *within, along, at = rule.columns
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in rule.columns)
    statement = sql.SQL(query("quality_gx_steps")).format(
        columns=columns, within=sql.SQL(", ").join(sql.Identifier(name) for name in within), along=sql.Identifier(along),
        time=sql.Identifier(at), batch=sql.SQL("{batch}"),
    )  # fmt: skip
    return statement.as_string()


def _answers(result: Any, rules: Sequence[Rule | None]) -> Iterator[Answer]:
    """The library's answers are in the order of the suite, but for what it asks of the table as a whole: each is found by its wording."""
    said = {_wording(each.expectation_config.type, each.expectation_config.kwargs): each for each in result.results}
    for rule in rules:
        expectation = None if rule is None else expectation_of(rule)
        if expectation is None:
            [each] = [one for one in result.results if one.expectation_config.type == "expect_table_columns_to_match_ordered_list"]
        else:
            configuration = expectation.configuration
            each = said[_wording(configuration.type, configuration.kwargs)]
        yield _answer(rule, each)


def _wording(kind: str, kwargs: Mapping[str, Any]) -> str:
    return repr((kind, sorted((key, str(value)) for key, value in kwargs.items() if key != "batch_id")))


def _answer(rule: Rule | None, each: Any) -> Answer:
    found: dict[str, Any] = each.result or {}
    failures = [told for told in _told_exceptions(each.exception_info) if told]
    unexpected = found.get("partial_unexpected_list") or []
    if rule is None:
        broken = 0 if each.success else 1
    elif rule.kind is Kind.IN_ORDER:
        broken = int(found.get("observed_value") or 0)
    else:
        broken = int(found.get("unexpected_count") or 0)
    return Answer(
        rule="schema_drift" if rule is None else rule.word,
        kind="columns" if rule is None else rule.kind.value,
        says="the columns are those of the contract, in its order" if rule is None else rule.told,
        expectation=each.expectation_config.type,
        is_met=bool(each.success) and not failures,
        broken=broken,
        looked_at=int(found.get("element_count") or 0),
        examples=tuple(str(one) for one in unexpected[:_EXAMPLES]),
        error=failures[0] if failures else None,
    )


def _told_exceptions(info: Mapping[str, Any] | None) -> Iterator[str | None]:
    """The library tells of one failure, or of one for each metric."""
    if not info:
        return
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry.get("raised_exception"):
            yield str(entry.get("exception_message"))
