"""The marks of tests that call Feast: they are slow, and Feast warns of what it does itself.

Belongs here: these. Does not: what such a test needs of a platform.
"""

from typing import Final

import pytest

OF_FEAST: Final = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
]
