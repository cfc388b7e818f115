"""The colours of pictures.

Belongs here: colours that several pictures share, by name. Does not: what a picture colours with them, nor the colours of the quality
page, which its style sheet says.
"""

from typing import Final

INK: Final = "#22313f"
"""Texts and marks."""

PALE: Final = "#8896a3"
"""Texts and lines that stand behind others."""

PAPER: Final = "#ffffff"
GRID: Final = "#e3e8ec"

NOTHING: Final = "#eef1f3"
"""Where there is no value."""

BLUE: Final = "#2e7da6"
"""What a picture is about."""

RED: Final = "#d1495b"
AMBER: Final = "#edae49"
GREEN: Final = "#1b9e77"
