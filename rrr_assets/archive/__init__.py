"""The archive: what is kept in the object store, and the proof that it is.

Belongs here: the assets that archive partitions. Does not: how a partition is written and proven (lake/), the contracts of archived
tables (contracts/archive).
Concept: https://docs.dagster.io/guides/build/assets
"""
