"""What Dagster injects: the warehouse, the home of its instance, the partitions.

Belongs here: thin resources between the stations and the warehouse. Does not: any logic of theirs.
Concept: https://docs.dagster.io/guides/build/external-resources
"""
