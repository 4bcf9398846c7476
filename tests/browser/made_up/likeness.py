"""What made-up layers are like."""

import numpy as np
import pandas as pd

from layerwise.figures.drawing.likeness import MEASURES
from tests.browser.made_up.study import PROMPTS, Size, as_compared, cross, ends, twin


def layer_measures(size: Size) -> pd.DataFrame:
    axes = {"model": size.all_models, "measure": list(MEASURES), "layer": range(size.layers)}
    rows = cross(stimuli=["captions"], prompt=PROMPTS[: size.prompts], position=["last"], **axes)
    random = rows["model"].str.endswith("-untrained")
    rows = rows.assign(draw_of="", weights=np.where(random, "random", "pretrained"), n_layers=size.n_layers)
    rows = rows.assign(width=64, dimensions="7 12", n=300)
    return as_compared("layer-measures", ends(rows, 0.5 + rows["layer"] / size.layers - 0.1 * random))


def layer_likeness(size: Size) -> pd.DataFrame:
    pairs = {(model, other): "model" for model in size.trained for other in size.trained if model < other}
    pairs |= {(model, model): "itself" for model in size.all_models} | {(m, twin(m)): "twin" for m in size.trained}
    layers = {"layer": range(size.layers), "other_layer": range(size.layers)}
    axes = {"prompt": PROMPTS[: size.prompts], "scaling": ["as they are", "standardised"]}
    rows = cross(stimuli=["captions"], position=["last"], pair=list(pairs), **axes, **layers)
    rows = rows.assign(model=rows["pair"].str[0], other=rows["pair"].str[1], kind=rows["pair"].map(pairs))
    rows = rows.assign(draw=False, n_layers=size.n_layers, other_n_layers=size.n_layers, n=300)
    apart = (rows["layer"] - rows["other_layer"]).abs() / size.layers
    return as_compared("layer-likeness", ends(rows, 1 - 0.8 * apart - 0.1 * (rows["kind"] == "twin")))
