"""The data platform of a crypto trading desk as one Dagster asset graph.

Belongs here: nothing but the version. Where Dagster loads the platform from is `definitions`;
the public reads are in `read`; the command `rrr` is in `cli`.
"""

__version__ = "0.1.0"
