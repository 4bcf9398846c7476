"""The classifiers, and how sure we are of their scores."""

from typing import Annotated

from layerwise.config.base import Each, Positive, Section, among, whole
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.logistic.engines.catalogue import ENGINES

Resamples = Annotated[int, whole(100)]
Permutations = Annotated[int, whole(12000)]
FromZero = Annotated[int, whole(0)]


class Controls(Section):
    """What is fitted beside the task, to say what its scores are worth."""

    random_labels: FromZero = 1
    """Probes per label and layer on labels permuted at random; scores are means over them. Selectivity is the task's
    score less theirs (arXiv 1909.03368). 0: none."""
    description_length: bool = True
    """Whether to fit probes to 1/32, 1/16, ... 1/2 of the training images too, for the labels' description length
    (online code, arXiv 2003.12298) and the learning curve. About as many fits again as the task's own."""


class Probes(Section):
    """The classifiers, and how sure we are of their scores."""

    engine: Annotated[str, among(ENGINES)] = "torch"
    """Which solver fits logistic regression; both minimise the same objective. torch: all labels of a layer together,
    on a GPU where there is one, and no C beyond two rises of the validation loss. sklearn: the reference, one fit at a
    time."""
    kinds: Annotated[list[Annotated[str, among(PROBE_KINDS)]], Each(1, holding="logistic")] = ["logistic"]
    """Kinds of probes to fit, for the figure of complexity. All other results are of logistic, which is always fitted.
    mean-difference: the direction between class means, without penalty. mlp: one hidden layer. mix: one weighting of
    all layers, read by logistic regression."""
    C: Annotated[list[Positive], Each(1)] = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]
    """Inverse strengths of the L2 penalty on standardised states; the best by validation loss is taken. Regularisation
    is unknown in the paper; our choice."""
    resamples: Resamples = 1000
    """Bootstrap resamples over images for 95 % intervals."""
    permutations: Permutations = 20000
    """Swaps of two layers' predictions drawn for each p-value of Tables 2 and 3, and for each set of layers as good as
    the best. From 12,000 on a p-value near 0.05 is known to 0.002. More rows need no more: swaps are drawn where they
    count, so that small p-values are known as well as large ones. Where images share texts, the sets of layers take as
    many draws of the greatest statistic."""
    controls: Controls = Controls()
    """What is fitted beside the task, to say what its scores are worth."""
