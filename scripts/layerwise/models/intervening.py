"""An intervention on a loaded decoder: its kind from the catalogue, its config entry, and the decoder's blocks."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from torch import nn

from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.interventions.kind import InterventionKind, Tokens


class Intervention:
    """An intervention on a model; see ``models.*.intervention`` in the config's schema.

    Attributes:
        kind: its key in the config.
        about: its entry in the catalogue.
        on_image: whether it changes what the image's tokens hold or who sees them.
        picture: the number of the one picture that it is about; None for all of them.
    """

    def __init__(
        self, intervention: dict[str, Any], blocks: Sequence[nn.Module], about: InterventionKind | None = None
    ):
        """
        Args:
            intervention: one kind, checked by
                :func:`layerwise.models.interventions.model_checks.check_intervention`.
            blocks: the decoder's.
            about: its kind, if the catalogue does not have it.
        """
        ((self.kind, self._how),) = intervention.items()
        self.about: InterventionKind = INTERVENTIONS[self.kind] if about is None else about
        self.on_image = self.about.on_image(self._how)
        self.picture: int | None = self._how.get("image")
        self._blocks = blocks

    def everywhere(self) -> "Intervention":
        """The same kind in all blocks: it keeps the whole image out, or the picture that the entry names.

        Raises:
            ValueError: for a kind that does not touch the image.
        """
        if self.about.everywhere is None:
            raise ValueError(f"{self.kind} does not touch the image")
        everywhere = dict(self.about.everywhere(len(self._blocks)))
        if self.picture is not None:
            everywhere["image"] = self.picture
        return Intervention({self.kind: everywhere}, self._blocks)

    def applied(self, tokens: Tokens) -> AbstractContextManager[None]:
        """Intervene while the block runs; see :class:`layerwise.models.interventions.kind.Apply`."""
        return self.about.apply(self._how, self._blocks, tokens)
