"""Simulator: a seeded exchange that writes the files a venue would have published.

Belongs here: made-up markets, their trades, the exchange's own candles, venue file layouts as a writer
sees them, and defects chosen on purpose with a record of what a correct platform makes of each.
Does not: anything that reads such files, or that computes a bar for the platform. The candles are an
independent witness of the platform's bars, so nothing is imported from where those are computed.
"""

from rrr_assets.simulator.defects import DEFAULT_DEFECTS, KINDS, Defect, parse_defects
from rrr_assets.simulator.exchange import MANIFEST_NAME, Simulation, simulate
from rrr_assets.simulator.files import WrittenFile
from rrr_assets.simulator.injections import INJECTED, Injection
from rrr_assets.simulator.markets import DEFAULT_INSTRUMENTS

__all__ = [
    "DEFAULT_DEFECTS",
    "DEFAULT_INSTRUMENTS",
    "INJECTED",
    "KINDS",
    "MANIFEST_NAME",
    "Defect",
    "Injection",
    "Simulation",
    "WrittenFile",
    "parse_defects",
    "simulate",
]
