"""Numbers as people are told them.

Belongs here: how many of something, in words. Does not: decimals (numbers.py), which sentence it stands in.
"""


def counted(number: int, word: str) -> str:
    """So many of something: 1 day, 1,440 rows.

    Args:
        number: how many.
        word: for one of them, of which the plural ends in s.
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"
