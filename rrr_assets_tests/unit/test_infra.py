"""What lies in infra/ names metrics that exist, with labels that they have, and is what Prometheus and Grafana read.

Belongs here: the dashboard, the rules, the settings. Does not: what the metrics say (sql/test_quality_report.py).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rrr_assets.cli import app
from rrr_assets.quality.metrics import METRICS, PORT
from rrr_assets_tests.unit.test_docs import commands

INFRA = Path(__file__).resolve().parents[2] / "infra"
DASHBOARD = json.loads((INFRA / "grafana" / "dashboard.json").read_text("utf-8"))
RULES = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text("utf-8"))
SETTINGS = yaml.safe_load((INFRA / "prometheus" / "prometheus.yml").read_text("utf-8"))

_NAME = re.compile(r"(?<![\w:$])(rrr_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"')
_BY = re.compile(r"\bby\s*\(([^)]*)\)\s*\(([^()]*(?:\([^()]*\))?[^()]*)\)")
_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_OF_PROMETHEUS = {"up": {"job", "instance"}}


def labels_of(name: str) -> set[str]:
    return _OF_PROMETHEUS[name] if name in _OF_PROMETHEUS else {*METRICS[name].labels, "job", "instance"}


def wrong_in(expression: str, legend: str = "") -> Iterator[str]:
    """What a query asks for that is not there."""
    named = _NAME.findall(expression)
    if not named:
        yield f"names no metric: {expression}"
    known = [(name, matchers) for name, matchers in named if name in METRICS or name in _OF_PROMETHEUS]
    yield from (f"no metric {name}" for name, _ in named if name not in METRICS and name not in _OF_PROMETHEUS)
    for name, matchers in known:
        yield from (f"{name} has no label {label}" for label in _MATCHER.findall(matchers) if label not in labels_of(name))
    for grouped, inside in _BY.findall(expression):
        for name, _ in _NAME.findall(inside):
            if name in METRICS:
                yield from (f"{name} has no label {each.strip()}" for each in grouped.split(",") if each.strip() not in labels_of(name))
    for label in _LEGEND.findall(legend):
        grouped = _BY.search(expression)
        told = {each.strip() for each in grouped[1].split(",")} if grouped else set().union(*(labels_of(name) for name, _ in known))
        if label not in told:
            yield f"no label {label} in {expression}"
    if any(expression.count(left) != expression.count(right) for left, right in ("()", "{}", "[]")):
        yield f"brackets do not match: {expression}"


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def test_every_query_names_metrics_and_labels_that_exist() -> None:
    queries = [(target["expr"], target["legendFormat"]) for panel in panels() for target in panel["targets"]]
    queries += [(rule["expr"], "") for rule in rules()]
    assert len(queries) > 50
    assert [wrong for query, legend in queries for wrong in wrong_in(query, legend)] == []


@pytest.mark.parametrize(
    ("expression", "legend", "wrong"),
    [
        ("rrr_upp", "", "no metric rrr_upp"),
        ('rrr_gaps{kind="ids"}', "", "rrr_gaps has no label kind"),
        ("sum by (venue) (rrr_gaps)", "", "rrr_gaps has no label venue"),
        ("sum by (cause) (rrr_gaps)", "{{state}}", "no label state in sum by (cause) (rrr_gaps)"),
        ("sum(rrr_gaps", "", "brackets do not match: sum(rrr_gaps"),
        ("vector(1)", "", "names no metric: vector(1)"),
    ],
)
def test_a_wrong_query_is_found(expression: str, legend: str, wrong: str) -> None:
    assert list(wrong_in(expression, legend)) == [wrong]


def test_nearly_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    used = {name for panel in panels() for target in panel["targets"] for name, _ in _NAME.findall(target["expr"])}
    used |= {name for rule in rules() for name, _ in _NAME.findall(rule["expr"])}
    # Moments of which the ages are shown, and counts beside bytes.
    beside = {
        "rrr_build_info", "rrr_stream_last_event_timestamp_seconds", "rrr_quality_run_finished_timestamp_seconds", "rrr_archive_partitions",
        "rrr_archive_rows", "rrr_archive_last_proof_timestamp_seconds", "rrr_backup_last_timestamp_seconds",
        "rrr_dagster_job_last_failure_timestamp_seconds", "rrr_ingest_last_batch_timestamp_seconds",
    }  # fmt: skip
    assert set(METRICS) - used == beside


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["uid"]
    assert DASHBOARD["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    [source, *_] = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    # Whichever data source is chosen is the one of every panel and query: none is named by an id of another Grafana.
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}
    assert {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]} == {"${datasource}"}
    for panel in panels():
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["title"]
        assert panel["description"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))


def test_no_two_panels_lie_on_each_other() -> None:
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not mine & taken, panel["title"]
        taken |= mine


def test_every_rule_says_how_bad_it_is_and_what_to_do_next() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 10
    known = commands()
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "warn"}
        assert rule["annotations"]["summary"]
        assert (INFRA.parent / rule["annotations"]["runbook"]).is_file(), rule["alert"]
        words = rule["annotations"]["next_step"].split()
        assert words[0] == "rrr"
        assert words[1] in known, rule["alert"]
        assert {word for word in words if word.startswith("--")} <= known[words[1]]


def test_prometheus_looks_where_the_exporter_listens() -> None:
    [job] = SETTINGS["scrape_configs"]
    assert job["job_name"] == "rrr"
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{PORT}"]}]
    assert SETTINGS["rule_files"] == ["alerts.yml"]
    import typer

    [port] = [each for each in typer.main.get_command(app).commands["metrics"].params if each.name == "port"]
    assert port.default == PORT


def test_what_grafana_provisions_is_named_as_the_dashboard_asks() -> None:
    provisioning = INFRA / "grafana" / "provisioning"
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    assert source["type"] == DASHBOARD["templating"]["list"][0]["query"]
    [provider] = yaml.safe_load((provisioning / "dashboards" / "rrr.yaml").read_text("utf-8"))["providers"]
    assert provider["type"] == "file"
