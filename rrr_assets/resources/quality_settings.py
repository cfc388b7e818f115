"""The settings of quality, as the environment names them.

Belongs here: the variable. Does not: what settings there are (calc/quality_config).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rrr_assets.calc.quality_config import QualitySettings

CONFIG_VARIABLE: Final = "RRR_QUALITY_CONFIG"


def quality_settings() -> "QualitySettings":
    """What the file that `RRR_QUALITY_CONFIG` names says; the defaults where it names none. Read again when the file changed.

    Raises:
        QualityConfigRefused: the file is not there, or cannot be understood.
    """
    from rrr_assets.calc.quality_config import read_settings

    path = os.environ.get(CONFIG_VARIABLE)
    return read_settings(Path(path) if path else None)
