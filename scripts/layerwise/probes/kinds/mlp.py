"""``mlp``: a perceptron with one hidden layer, which also finds what no single direction tells.

It shows whether a layer holds more than a linear reader finds (Pimentel et al. 2020, arXiv 2004.03061, argue for such
probes; Hewitt and Liang 2019, arXiv 1909.03368, for controls beside them).
"""

from layerwise.probes.engine import ProbeEngine
from layerwise.probes.kinds.kind import ProbeKind

HIDDEN = 64
# Inverse strengths of the L2 penalty that it tries; early stopping does most of the work.
STRENGTHS = (0.01, 0.1, 1.0)
# Passes over a label's training rows, about, until the validation loss stops falling.
PASSES = 25


def _start(threads: int, budget_bytes: int, seed: int) -> ProbeEngine:
    # Not at the top: the process must have chosen its GPU before it imports torch.
    from layerwise.probes.perceptron.engine import PerceptronEngine

    return PerceptronEngine(HIDDEN, threads, budget_bytes, seed)


KIND = ProbeKind(
    "mlp",
    _start,
    # Three products per pass, one forward and two back, of which a pair is two.
    products=lambda layers, tried: 1.5 * HIDDEN * len(STRENGTHS) * PASSES * layers,
    C=STRENGTHS,
    uses_card=True,
)
