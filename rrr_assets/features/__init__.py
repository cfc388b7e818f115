"""Features: what models are trained on and served with, one row per instrument and minute.

Belongs here: the assets that keep the tables of features in step with bars and ticks, and the sensor that refreshes what changed.
Does not: what a feature is (calc/features), how rows are made and stored (warehouse/features).
"""
