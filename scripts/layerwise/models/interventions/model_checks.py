"""What a model allows of an intervention, checked before its weights are needed and without torch."""

from collections.abc import Sequence
from typing import Any

from layerwise.errors import InputError
from layerwise.models.block_kinds import WITHOUT_SCORES
from layerwise.models.families import family_of
from layerwise.models.interventions.catalogue import INTERVENTIONS


def check_intervention(name: str, intervention: dict[str, Any], n_layers: int, model_type: str) -> None:
    """Refuse an intervention that this model does not allow.

    Args:
        name: of the model entry.
        intervention: see the schema; one kind.
        n_layers: decoder blocks.
        model_type: as transformers names it.

    Raises:
        InputError: naming the key.
    """
    ((kind_name, how),) = intervention.items()
    kind, family = INTERVENTIONS[kind_name], family_of(model_type)
    where = f"models.{name}.intervention.{kind_name}"
    for needed, why in ((kind.on_image(how), family.image_out_of_reach), (kind.cuts_attention, family.cut_leaks)):
        if needed and why:
            raise InputError(f"{where}: a model of type {model_type} allows none: {why}")
    kind.check(where, how, n_layers)


def check_scores(name: str, intervention: dict[str, Any], kinds: Sequence[str]) -> None:
    """Refuse to cut attention in blocks that have no scores between tokens, such as those of linear attention.

    Args:
        name: of the model entry.
        intervention: one that :func:`check_intervention` lets pass.
        kinds: of the model's blocks, as its configuration names them; empty where they are all of one kind.

    Raises:
        InputError: naming the key, these blocks, and those that could be cut.
    """
    ((kind_name, how),) = intervention.items()
    kind = INTERVENTIONS[kind_name]
    if kind.cut_blocks is None or not kinds:
        return
    cut = kind.cut_blocks(how, len(kinds))
    if without := [block for block in cut if kinds[block - 1] in WITHOUT_SCORES]:
        could = [block for block, kind_of_block in enumerate(kinds, start=1) if kind_of_block not in WITHOUT_SCORES]
        raise InputError(
            f"models.{name}.intervention.{kind_name}.blocks: attention between tokens cannot be cut in block "
            f"{without[0]}, which is of the kind {kinds[without[0] - 1]} ({len(without)} of the blocks {cut[0]} to "
            f"{cut[-1]} are of such a kind); it can be cut in these blocks of the model: "
            f"{', '.join(map(str, could)) or 'none'}"
        )
