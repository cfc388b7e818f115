"""The benchmark: figures of the platform, each beside a bare engine that does the same work in the same run.

Belongs here: what `rrr bench` measures, the baselines as plain scripts (baseline_*.py), the table. Does not: tests that
pass or fail; a figure that misses its target is reported, not raised. What is measured: docs/benchmarks.md
"""
