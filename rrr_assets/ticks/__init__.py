"""Ticks: what venues sent, taken in once and for good.

Belongs here: the landing zone, the assets raw_trades and venue_bars, their checks and sensors.
Does not: what a venue's file looks like (venues/), how a day is stored (warehouse/), what is made of it (bars/).
Concept: https://docs.dagster.io/guides/build/assets
"""
