"""The lake: archived partitions as Iceberg tables in an object store, written, read back and proven.

Belongs here: the store, the catalogue, files of partitions, proofs. Does not: when something is archived, restored or dropped
(archive/), how rows look in a file (calc/packing, contracts/archive), the database's own rows (warehouse/).
Concept: https://iceberg.apache.org/spec/
"""
