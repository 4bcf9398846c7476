"""Items as scripts/make_stimuli.py makes them, without the file that it writes."""

import pandas as pd

from layerwise.several_pictures import each
from layerwise.stimuli.building import Stimuli, finish_items
from layerwise.stimuli.image_files import check_images


def finished(stimuli: Stimuli) -> pd.DataFrame:
    """The items of a stimulus set, their images checked."""
    return finish_items(stimuli, check_images(path for image in stimuli.shown["image"] for path in each(image)))
