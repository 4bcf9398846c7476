"""Trained routes: small added paths from the layers below to the top of a frozen model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import Count, Maybe, Name, Section, whole

Block = Annotated[int, whole(1)]
# The keys of each kind that others lack, with their defaults; a block must be given, and has none.
NO_BLOCK = 0
OF_KIND: dict[str, dict[str, int]] = {
    "gates": {},
    "map": {"from": NO_BLOCK, "rank": 4},
    "attention": {"from": NO_BLOCK, "heads": 1, "size": 8},
}


class Route(Section):
    """A path that is trained on a task's training items, with all weights of the model frozen. At each text's last
    token it adds to the last block's output. A model runs with it where its `intervention` is `route: {name: NAME}`."""

    kind: Literal["gates", "map", "attention"]
    """gates: the outputs of all blocks below, each times a trained scalar. map: a trained matrix of low rank times the
    output of block `from`. attention: trained cross-attention to the image's tokens behind block `from`."""
    model: Name
    """The model that it is trained on, one without an intervention."""
    task: Name
    """The task whose training items it is trained on, with one label per item."""
    prompt: Name
    """The prompt that asks for the task's classes, with `answers` for all of them."""
    from_: Maybe[Block] = Field(None, alias="from")
    """The block that is read, counted from 1; not for gates, which read all."""
    rank: Maybe[Count] = None
    """Rank of a map's matrix. Default: 4."""
    heads: Maybe[Count] = None
    """Heads of attention. Default: 1."""
    size: Maybe[Count] = None
    """Dimensions of each head. Default: 8."""

    def shape(self) -> dict[str, int]:
        """The keys of its kind, with defaults."""
        given = self.entry()
        return {key: given.get(key, default) for key, default in OF_KIND[self.kind].items()}

    @model_validator(mode="after")
    def _has_the_keys_of_its_kind(self) -> "Route":
        given = {key for key in ("from", "rank", "heads", "size") if key in self.entry()}
        if needless := sorted(given - set(OF_KIND[self.kind])):
            raise PydanticCustomError("unfit", "{kind} has no `{key}`", {"kind": self.kind, "key": needless[0]})
        if NO_BLOCK in self.shape().values():
            raise PydanticCustomError("unfit", "{kind} needs `from`, the block that is read", {"kind": self.kind})
        return self
