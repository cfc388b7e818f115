"""`python -m rrr_assets.cli` is `rrr`."""

from rrr_assets.cli import main

main()
