"""The declared features: each is written once, as a function of the columns that it names, and everything else is made from that.

Belongs here: what a feature is (declare.py), windows that give the same bits wherever they are computed (windows.py), the features
themselves, a module per kind, what they need of ticks (ticks.py), and evaluating them over minutes in memory (compute.py). Does not:
reading or storing anything, Feast.

Why expressions in a registry, and not Apache Hamilton: a feature is written here as Hamilton would have it, a function whose parameters
name what it is made from; but it returns a Polars expression, which is the whole of the computation as a value. The engine evaluates all of
them in one plan with common parts shared, an expression says itself which columns it reads, so that a declared lineage can be proven, and
the same expression runs over a day of all instruments and over the last minutes of one. A graph of functions over frames would add a second
scheduler inside a step for nothing that is needed.
"""

from rrr_assets.calc.features import book, clock, flow, prices, volatility
from rrr_assets.calc.features.declare import Feature, complete

FEATURES = complete()
"""Every feature by its name, in the order in which the modules declare them."""

__all__ = ["FEATURES", "Feature", "book", "clock", "flow", "prices", "volatility"]
