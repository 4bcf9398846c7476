"""What trained routes bring, on the test items of the task that each was trained on.

Five differences for each model that runs with a route, all on the same items: ``question`` says which.

- answers: the model's own answers with the route, less those without it
- top: the probe of the topmost block with the route, less that without it
- below: the probe of the topmost block with the route, less that of the best layer below the top without it
- control: the model's own answers with the route, less the control: a probe of the topmost block without the route
  that has at least as many trained parameters and was trained by the same optimiser on the same items
- trained probe: the control, less the probe of the topmost block without the route

Columns:

- ``model``: name of the model with the route
- ``base``: name of the same model without it
- ``route``: its name
- ``kind``: gates, map or attention
- ``from``: the block that is read; 0 for gates, which read all below the top
- ``parameters``: that are trained in the route
- ``control_parameters``: that are trained in the control
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``metric``: the task's own
- ``question``: see above
- ``n_layers``: blocks of the model
- ``best_layer``: the layer below the top with the highest validation score without the route
- ``first``: test score of the first of the two
- ``second``: of the other one
- ``difference``: first - second; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there are too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``n``: test items
- ``n_groups``: groups of test items
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.routes import compare_routes

    files = given.path("predictions"), given.path("answers"), given.paths("route-controls")
    how = options["resamples"], options["permutations"], options["seed"]
    return compare_routes(given.scores, given.tasks, given.models, *files, *how)


COMPARISON = Comparison(
    reads=("scores", "predictions", "answers", "route-controls", "tasks", "models"),
    options=("resamples", "permutations", "seed"),
    columns=(
        "model",
        "base",
        "route",
        "kind",
        "from",
        "parameters",
        "control_parameters",
        "task",
        "prompt",
        "metric",
        "question",
        "n_layers",
        "best_layer",
        "first",
        "second",
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
        "p_is_bound",
        "p_holm",
        "p_holm_is_bound",
        "n",
        "n_groups",
    ),
    compute=compute,
)
