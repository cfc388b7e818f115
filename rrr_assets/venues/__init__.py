"""One module per source format: bytes of a venue -> exact typed Arrow batches, and refused rows.

Belongs here: what a venue's file looks like and what its rules say. Does not: databases, Dagster,
anything that outlives the file. `registry` lists the formats.
"""
