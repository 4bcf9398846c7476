"""How far chance moves a rate that so many drawn studies have."""

import numpy as np


def rate_errors(studies: int) -> str:
    """A clause with the standard errors of rates, in percent, where each study counts once."""
    rare, half = (100 * np.sqrt(rate * (1 - rate) / studies) for rate in (0.05, 0.5))
    return f"standard error {rare:.1f} at 5 or 95 %, {half:.1f} at 50 %"
