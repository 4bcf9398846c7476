"""Does the model use what a probe finds? Each concept erased and steered, block by block, against random controls.

Margins and effects are in log odds. A mean over items is the mean over classes of the means over their items.

Columns:

- ``model``: name of the model
- ``task``: name of the task whose classes are the concept
- ``prompt``: name of the prompt
- ``change``: "erase" or "steer"
- ``strength``: of steering, in standard deviations of the training rows; 0 for erasing
- ``block``: whose output is changed, from 1
- ``n_layers``: blocks of the model
- ``n``: items
- ``n_images``: images
- ``draws``: controls of random directions
- ``free``: mean gold margin of the unchanged run: log odds of the right answer against all others
- ``free_low``: lower end of its 95 % interval
- ``free_high``: upper end
- ``answers``: whether free_low is above 0, so that the model answers at all
- ``free_accuracy``: share of items whose most probable answer is right, in the unchanged run
- ``chance``: the same of always giving the most frequent class
- ``effect``: erasing: the mean fall of the gold margin; steering: the mean rise of the second class's margin over the
  first, times the sign of the strength
- ``effect_low``: lower end of its 95 % interval over images
- ``effect_high``: upper end
- ``control``: the same for the controls: mean over draws
- ``control_least``: of the least draw
- ``control_greatest``: of the greatest draw
- ``control_own``: of erasing, how far a random concept's eraser moves the classes that this concept itself gives the
  items: the absolute mean fall of their margins, as a mean over draws; a draw that gives a class no item is left out
- ``control_own_greatest``: of the greatest draw; NaN for steering, whose draws have a sign of their own anyway
- ``difference``: effect - control
- ``difference_low``: lower end of its 95 % interval over images and draws
- ``difference_high``: upper end
- ``p_value``: one-sided, of "the effect is no greater than that of one more draw", corrected over all blocks and
  strengths of the cell and change; NaN where there is no test
- ``p_fixed``: the same of swaps of whole images, which take the draws as fixed: too small if the concept is as good as
  one more draw
- ``beyond``: whether the effect is above 0, above that of every draw and, of erasing, above control_own_greatest
- ``used``: the verdict: beyond, p_value below 0.05, and the model answers
- ``peak``: whether it is the cell's block in which erasing has the greatest difference
- ``flips``: share of items whose most probable answer changes
- ``flips_low``: lower end of its 95 % interval
- ``flips_high``: upper end
- ``control_flips``: the same for the controls: mean over draws
- ``accuracy``: share of items that are answered rightly after the change
- ``control_accuracy``: the same for the controls: mean over draws
- ``completeness``: effect / free, within 0 and 1, of erasing; NaN where the model does not answer
- ``selectivity``: 1 less the mean completeness with which erasing this concept takes other tasks' answers; NaN where no
  other task is answered
- ``product``: of both
- ``others``: the tasks that selectivity is over, separated by spaces
- ``twins``: names of the model's untrained twins in this table, separated by spaces
- ``missing``: why there is no verdict; empty if there is one
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.sweeps import given_sweeps
    from layerwise.compare.statistics.used import compare_used

    how = options["resamples"], options["permutations"], options["seed"]
    return compare_used(given_sweeps(given, options), options.get("twins", {}), *how)


COMPARISON = Comparison(
    reads=("sweeps",),
    options=("resamples", "permutations", "seed", "used", "twins"),
    columns=(
        "model",
        "task",
        "prompt",
        "change",
        "strength",
        "block",
        "n_layers",
        "n",
        "n_images",
        "draws",
        "free",
        "free_low",
        "free_high",
        "answers",
        "free_accuracy",
        "chance",
        "effect",
        "effect_low",
        "effect_high",
        "control",
        "control_least",
        "control_greatest",
        "control_own",
        "control_own_greatest",
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
        "p_fixed",
        "beyond",
        "used",
        "peak",
        "flips",
        "flips_low",
        "flips_high",
        "control_flips",
        "accuracy",
        "control_accuracy",
        "completeness",
        "selectivity",
        "product",
        "others",
        "twins",
        "missing",
    ),
    compute=compute,
)
