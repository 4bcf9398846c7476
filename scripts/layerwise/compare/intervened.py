"""Models with an intervention: the intervention in words, and the model that it was made on."""

from collections.abc import Mapping
from typing import Any

from layerwise.compare.inputs import Model
from layerwise.errors import InputError
from layerwise.models.interventions.concept_entry import AT


def in_words(intervention: Mapping[str, Any]) -> str:
    """An intervention as legends and tables write it."""
    ((kind, how),) = intervention.items()
    if kind == "bypass":
        return f"block {how['from']} × {how['scale']:g} added to {block_in_words(how)}"
    # Of several pictures an entry may name one.
    picture = f"picture {how['image']}" if how.get("image") else "image"
    if kind == "ablate-image":
        tokens = f"{picture}'s tokens" if how.get("image") else "image tokens"
        return f"{tokens} {'zero' if how['with'] == 'zero' else 'averaged'} from block {how['from']} on"
    if kind == "cut-image":
        blocks = how["blocks"]
        where = f"{blocks} blocks" if isinstance(blocks, str) else f"blocks {blocks[0]}-{blocks[1]}"
        return f"{picture} cut in {where}"
    if kind in ("erase", "steer"):
        concept, place = f"{how['task']}/{how['prompt']}", f"block {how['block']} ({AT[how['at']]})"
        if kind == "erase":
            return f"{concept} erased at {place}"
        toward = f" toward {how['toward']}" if "toward" in how else ""
        means = "" if how["along"] == "means" else f" along the {how['along']}"
        return f"{concept} steered by {how['strength']:g} SD{toward}{means} at {place}"
    if kind == "route":
        return f"trained route {how['name']} into the last block"
    # Of other kinds, as the config has it.
    return f"{kind}: {', '.join(f'{key} {value}' for key, value in how.items())}"


def block_in_words(how: Mapping[str, Any]) -> str:
    """The block to which the output of another is added."""
    return f"block {how['into']}" if "into" in how else "the last block"


def base_of(model: Model, models: Mapping[str, Model]) -> str:
    """The name of the model that an intervention was made on.

    Raises:
        InputError: It is not among the models.
    """
    for name, other in models.items():
        if other.digest == model.base:
            return name
    raise InputError(
        f"model {model.model!r} has an intervention, but the same model without it is not in the study; add its entry"
    )
