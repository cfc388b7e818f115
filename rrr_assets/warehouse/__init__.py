"""The warehouse: everything that talks to PostgreSQL.

Belongs here: the home and the embedded server, connections, the two engines, bulk load, migrations.
Does not: what a table means (contracts/), how its rows are computed (calc/), when it is done (the stations).
"""
