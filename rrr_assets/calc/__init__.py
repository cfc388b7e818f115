"""Pure and exact arithmetic that every station shares: numbers, identity, bars, coverage, knowledge.

Belongs here: functions of values and Arrow arrays, without I/O and without Dagster.
Does not: reading a source (venues/), talking to a database (warehouse/).
"""
