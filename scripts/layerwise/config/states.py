"""What is kept of a forward pass."""

from typing import Annotated, Literal

from layerwise.config.base import Each, Maybe, Name, Section

UniqueNames = Annotated[list[Name], Each()]
Site = Literal["block", "attention", "mlp", "heads"]


class SitesOf(Section):
    """Which cells keep more than the block: these take several times the space and as many probes. Default: all."""

    models: Maybe[UniqueNames] = None
    """Only these models'. Default: all without an intervention."""
    prompts: Maybe[UniqueNames] = None
    """Only these prompts'."""


class States(Section):
    """What is kept of a forward pass."""

    keep: bool = True
    """Whether states stay when all that reads them has run: probes, answers, concepts, and carried probes, which need
    those of all prompts of a task at once. false spares the disk; a later change of any of these then runs the models
    again."""
    positions: Annotated[list[Literal["last", "image-mean", "each-image-mean"]], Each(1)] = ["last"]
    """last: the last prompt token. image-mean: the mean over the image tokens, of several pictures over those of all.
    each-image-mean: of stimuli with several pictures also the mean over the tokens of each of them, as the positions
    image-1-mean, image-2-mean and so on; of other stimuli nothing more. One dataset each in the states file. Probes
    read the first position, and those of single pictures beside it."""
    sites: Annotated[list[Site], Each(holding="block")] = ["block"]
    """Where in each block the last token is read, by the same run of the model. block: its output, always. attention,
    mlp: what these add to the residual sum, behind the output projection. heads: every head of the attention, before
    it. Probes of other sites than block are in results/probes/sites.parquet and in figures of their own."""
    sites_of: SitesOf = SitesOf()
    """Which cells keep more than the block: these take several times the space and as many probes. Default: all."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision on disk. bfloat16 halves the space of a model that runs in half precision."""
