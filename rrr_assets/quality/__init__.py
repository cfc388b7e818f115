"""Quality: whether what we made agrees with what others say of it.

Belongs here: the conformance ledger's asset. Does not: the rules of a single table, which are checks of its own asset.
"""
