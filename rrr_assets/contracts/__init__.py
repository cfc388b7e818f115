"""One contract per table: columns, types, units, keys, retention, owner, description.

Belongs here: what a table means, written once. Does not: the SQL that makes it (sql/migrations, tested
equal to the contracts), the code that fills it.
"""
