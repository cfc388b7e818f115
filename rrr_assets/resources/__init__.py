"""What Dagster injects: the warehouse, the home of its instance, the partitions.

Belongs here: thin resources between the stations and the warehouse. Does not: any logic of theirs.
Concept: https://docs.dagster.io/guides/build/external-resources
"""

import warnings

# Both are how Dagster 1.13 runs a range of days at all, and the pin in pyproject.toml holds them still; go when they leave beta.
warnings.filterwarnings("ignore", message=r"Parameter `(backfill_policy|owners)` .*is currently in beta")
