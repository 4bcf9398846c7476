"""``erase``: a concept is erased from a block's output, so that no linear probe finds it there any more.

LEACE (Belrose et al. 2023, arXiv 2306.03819), fitted to training items of the model as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layerwise.models.interventions.concept_entry import ConceptEntry, Fitted, check_concept, concept_changed
from layerwise.models.interventions.kind import How, InterventionKind, Tokens

if TYPE_CHECKING:
    from torch import nn

    from layerwise.models.interventions.concept_file import Change


class Entry(ConceptEntry):
    """Erase the classes of a task from a block's output, so that no linear probe finds them there (arXiv
    2306.03819)."""


def _change(fitted: Fitted, how: How) -> "Change":
    return fitted.concept.erased()


@contextmanager
def _apply(how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> Iterator[None]:
    with concept_changed(how, blocks, tokens, _change):
        yield


KIND = InterventionKind(
    name="erase",
    touches_image=False,
    check=check_concept,
    apply=_apply,
    figure="erased",
    fitted="concept",
)
