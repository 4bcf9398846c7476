"""``steer``: a block's output is moved along the direction of a concept, toward one of its classes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from layerwise.config.base import Maybe, Number, Text
from layerwise.errors import InputError
from layerwise.models.interventions.concept_entry import ConceptEntry, Fitted, check_concept, concept_changed
from layerwise.models.interventions.kind import How, InterventionKind, Tokens

if TYPE_CHECKING:
    from torch import nn

    from layerwise.models.interventions.concept_file import Change


class Entry(ConceptEntry):
    """Move a block's output along the direction of a task's class."""

    along: Literal["means", "probe"] = "means"
    """The direction. means: the difference of the class means of the training items. probe: the weights of the kept
    probe; only at the last token."""
    strength: Number
    """How far, in standard deviations of the training items' projections onto the direction. Negative: away from the
    class."""
    toward: Maybe[Text] = None
    """The class that a positive strength moves towards. Default for a task with two classes: the second. Needed for a
    task with more."""


def _check(where: str, how: How, n_layers: int | None) -> None:
    if how["strength"] == 0:
        raise InputError(f"{where}.strength: 0 moves nothing; give another number")
    if how["along"] == "probe" and how["at"] != "last":
        raise InputError(
            f"{where}.along: kept probes are those of the last token, and states are steered at the {how['at']} "
            "tokens; write `along: means`"
        )
    check_concept(where, how, n_layers)


def _change(fitted: Fitted, how: How) -> "Change":
    along, strength, classes, known = how["along"], how["strength"], fitted.classes, fitted.concept.steer
    if along not in known:
        raise InputError(f"{fitted.file}: has no directions {along}; it has {', '.join(sorted(known)) or 'none'}")
    toward = how.get("toward", classes[1] if len(classes) == 2 else None)
    if toward not in classes:
        raise InputError(f"{fitted.file}: has no class {toward!r} to steer toward; it has {', '.join(classes)}")
    place = classes.index(toward)
    if len(classes) == 2:
        # There is one direction, toward the second class.
        place, strength = 0, strength if place == 1 else -strength
    return fitted.concept.steered(along, strength, place)


@contextmanager
def _apply(how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> Iterator[None]:
    with concept_changed(how, blocks, tokens, _change):
        yield


KIND = InterventionKind(
    name="steer",
    touches_image=False,
    check=_check,
    apply=_apply,
    figure="erased",
    fitted="concept",
)
