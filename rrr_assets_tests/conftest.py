"""What all tests share: hypothesis profiles, and the count of what was skipped and why.

Belongs here: settings of the test run. Does not: servers and instances (the folders' own conftest.py).
"""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# Wall time says nothing on a machine that several processes share; the time limit of a test is pytest-timeout's.
settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
# Pull requests: the same examples every time, so that a red run is the change's own.
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
# By hand or at night, to look for more: HYPOTHESIS_PROFILE=thorough
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped for which reason: a green run says what it did not look at."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    terminalreporter.section(f"not run: {reasons.total()} skipped")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        terminalreporter.write_line(f"{count:6d}  {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # pytest keeps (file, line, "Skipped: reason") of a skip, also across processes.
    text = report.longrepr[2] if isinstance(report.longrepr, tuple | list) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
