"""Bars: trades summed up over fixed UTC intervals.

Belongs here: the assets that keep the bar tables in step with the trades, and the sensor that refreshes what changed.
Does not: what a bar is (calc/order), how it is computed (warehouse/refresh), whether it agrees with the venue's (quality/).
Concept: https://docs.dagster.io/guides/build/assets
"""
