"""The specification curve: does the main claim depend on choices that could have been made otherwise?"""

from typing import Annotated, Literal

from layerwise.config.base import Each, Maybe, Names, Positive, Section, Seed, Share, among, whole
from layerwise.probes.metrics.catalogue import METRICS


class Specifications(Section):
    """The specification curve (doi:10.1038/s41562-020-0912-z) of the claim that a layer below the top beats the topmost
    block: for each model and task, the claim under many combinations of choices. Lists hold what is tried beside what
    the study itself does. Absent: no curve is made. Costs no forward pass."""

    budget: Annotated[int, whole(2)] = 100
    """Combinations per model and task. If there are more, this many are drawn at random. What the study itself does,
    under each prompt, is always among them."""
    metrics: Annotated[list[Annotated[str, among(METRICS)]], Each()] = ["f1", "roc_auc"]
    """Metrics beside the task's own."""
    C: Annotated[list[Positive], Each()] = [0.01, 1]
    """Fixed strengths of the penalty, beside the choice by validation loss among `probes.C`."""
    raw_states: bool = True
    """Whether probes are also fitted to states that are not standardised."""
    split_seeds: Annotated[list[Seed], Each()] = [1, 2]
    """Seeds of further splits, beside the task's own. With `by: official`, training and validation images are divided
    again, and the test images stay."""
    train_shares: Annotated[list[Share], Each()] = [0.5]
    """Shares of the training images to learn from, beside all of them."""
    probes: Annotated[list[Literal["mean-difference", "mlp"]], Each()] = ["mean-difference"]
    """Kinds of probes beside logistic regression, as in `probes.kinds`; of those that read one layer."""
    models: Maybe[Names] = None
    """For which models. Default: all that are neither random nor changed by an intervention."""
    tasks: Maybe[Names] = None
    """For which tasks. Default: all with a global question."""
    prompts: Maybe[Names] = None
    """Under which prompts. Default: all that show the item's own image."""
