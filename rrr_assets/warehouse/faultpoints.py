"""Places at which a crash test may kill the process, so that every step is shown to survive it.

Belongs here: the one hook. Does nothing unless RRR_FAULT_POINT names the place.
"""

import os
import signal


def reach(place: str) -> None:
    """Die here by SIGKILL when RRR_FAULT_POINT is `place`, or `place:n` and this is the n-th time (from 1)."""
    wanted = os.environ.get("RRR_FAULT_POINT")
    if not wanted:
        return
    name, _, nth = wanted.partition(":")
    if name != place:
        return
    left = int(nth or "1") - 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    os.environ["RRR_FAULT_POINT"] = f"{name}:{left}"
