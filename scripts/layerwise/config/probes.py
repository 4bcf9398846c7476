"""The classifiers, and how sure we are of their scores."""

from typing import Annotated

from layerwise.config.base import Checked, Each, Maybe, Name, Positive, Section, Share, among, whole
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.logistic.engines.catalogue import ENGINES

Resamples = Annotated[int, whole(100)]
Permutations = Annotated[int, whole(12000)]
# With fewer draws than 10 their variance is hardly known.
Draws = Annotated[
    int,
    Checked(
        lambda value: type(value) is int and (value == 0 or value >= 10),
        "0 or a whole number of at least 10",
        {"anyOf": [{"const": 0}, {"type": "integer", "minimum": 10}]},
    ),
]
FromZero = Annotated[int, whole(0)]
UniqueNames = Annotated[list[Name], Each()]


class Controls(Section):
    """What is fitted beside the task, to say what its scores are worth."""

    random_labels: FromZero = 1
    """Probes per label and layer on labels permuted at random; scores are means over them. Selectivity is the task's
    score less theirs (arXiv 1909.03368). Numbers are permuted over images. 0: none."""
    description_length: bool = True
    """Whether to fit probes to 1/32, 1/16, ... 1/2 of the training images too, for the labels' description length
    (online code, arXiv 2003.12298) and the learning curve. About as many fits again as the task's own."""


class KindsOf(Section):
    """Which cells further kinds of probes are fitted to. Default: all."""

    models: Maybe[UniqueNames] = None
    """Only to these models' states. Default: all models without an intervention."""
    tasks: Maybe[UniqueNames] = None
    """Only for these tasks."""
    prompts: Maybe[UniqueNames] = None
    """Only to these prompts' states."""


class Probes(Section):
    """The probes, and how sure we are of their scores."""

    engine: Annotated[str, among(ENGINES)] = "torch"
    """Which solver fits logistic regression; both minimise the same objective. torch: all labels of a layer together,
    on a GPU where there is one, and no C beyond two rises of the validation loss. sklearn: the reference, one fit at a
    time."""
    kinds: Annotated[list[Annotated[str, among(PROBE_KINDS)]], Each(1, holding="logistic")] = ["logistic"]
    """Kinds of probes to fit, for the figure `complexity`. All other results are of logistic, which is always fitted.
    mean-difference: the direction between class means, without a penalty. mlp: a perceptron with one hidden layer.
    mix: logistic regression on a weighted sum of all layers."""
    kinds_of: KindsOf = KindsOf()
    """Which cells further kinds of probes are fitted to. mlp takes several times as long as all else."""
    C: Annotated[list[Positive], Each(1)] = [0.0001, 0.001, 0.01, 0.1, 1.0, 10.0]
    """Inverse strengths of the L2 penalty on standardised states; the best by validation loss is taken. Regularisation
    is unknown in the paper; our choice."""
    penalties: Annotated[list[Positive], Each(1)] = [1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
    """For tasks about numbers: strengths of ridge regression's penalty, per training item, on standardised states; the
    best by validation error is taken. All of them cost as much as one."""
    resamples: Resamples = 1000
    """Bootstrap resamples over images for 95 % intervals."""
    permutations: Permutations = 20000
    """Swaps of two layers' predictions drawn for each p-value of Tables 2 and 3, and for each set of layers as good as
    the best. From 12,000 on a p-value near 0.05 is known to 0.002. More rows need no more: swaps are drawn where they
    count, so that small p-values are known as well as large ones. Where images share texts, the sets of layers take as
    many draws of the greatest statistic."""
    margin: Share = 0.01
    """A difference of scores that does not matter, in the metric's unit: 0.01 is one point. Table 2 says whether the
    best layer and the topmost block are shown to be equal within it, and which layers are shown to be worse than the
    best by less."""
    training_draws: Draws = 0
    """How often each layer's probes are fitted again to a bootstrap draw of the training images, for intervals that
    include the choice of these images; 20 suffice. Models with an intervention have none. 0: none, and intervals take
    the fitted probes as given."""
    shortcuts: bool = True
    """Whether to fit probes to simple features too, for tasks with a global question whose prompts show a picture and a
    text: the words of the text, and the picture as the decoder gets it. A layer that is not above them is no evidence
    that the model relates the two. The vision tower runs once more over every picture, except for untrained models and
    those with an intervention."""
    keep: bool = True
    """Whether to keep the probes themselves, one file per cell, so that they can read other hidden states without being
    fitted again. A cell takes layers x labels x width x 4 bytes."""
    controls: Controls = Controls()
    """What is fitted beside the task, to say what its scores are worth."""
