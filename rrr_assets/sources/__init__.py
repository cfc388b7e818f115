"""Sources: where venues' public files come from over HTTP.

Belongs here: how one file is downloaded whole and verified, and one module per venue's layout of addresses. Does not: what is in
the files (venues/), keeping and loading them (ticks/). Knows no database.
"""
