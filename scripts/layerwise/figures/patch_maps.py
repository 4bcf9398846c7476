"""What the output head reads at every image token of a few pictures, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Contents, Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.patch_maps import draw_maps
    from layerwise.lens.maps import open_maps

    with open_maps(given.path("lens-maps")) as maps:
        return draw_maps(maps)


def _variants(study: Contents) -> dict[str, str]:
    return {f"{model}.{stimuli}": f"{model}, {stimuli}" for model, stimuli in study.patch_maps}


FIGURE = Figure(
    place=31,
    title="Words read in pictures",
    reads=("lens-maps",),
    draw=draw,
    exists=lambda study: bool(study.patch_maps),
    variants=_variants,
    file="{name}-{variant}",
)
