"""How far each layer is above its untrained twin: the difference of both scores, with an interval over images."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import read_predictions
from layerwise.compare.statistics.twins import differences_to_twins
from layerwise.errors import InputError
from tests.given import given
from tests.known_layers import MODELS, RATES, TASKS, write_cells


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("probes")
    return write_cells(root), root


def differences(study, twins, resamples=4000):
    scores, root = study
    return pd.DataFrame(differences_to_twins(scores, TASKS, twins, root, resamples, 0))


def by_image(root, layer):
    """What each image adds to the difference of accuracy, in shares of an image's items."""
    sides = [root / model / "agree" / "plain.predictions.parquet" for model in ("own", "twin")]
    right = []
    for path in sides:
        found = read_predictions(path, layer, "test")
        right.append((np.array([margin[0] for margin in found["scores"]]) > 0) == (found["y"] == 1))
    return np.bincount(found["group"], right[0].astype(float) - right[1]) / 2


def test_each_layer_is_compared_with_the_same_layer_of_the_twin_over_images(study):
    found = differences(study, {"own": ["twin"]})
    # The twin was asked one prompt of three.
    assert found[["model", "prompt", "twins"]].drop_duplicates().to_numpy().tolist() == [["own", "plain", "twin"]]
    expected = np.subtract(RATES["own", "plain"], RATES["twin", "plain"])
    assert found["difference"].to_numpy() == pytest.approx(expected, abs=0.002)
    for row in found.to_dict("records"):
        gains = by_image(study[1], row["layer"])
        half = stats.t.isf(0.025, 199) * gains.std(ddof=1) / np.sqrt(200)
        ends = row["difference_low"], row["difference_high"]
        assert ends == pytest.approx((gains.mean() - half, gains.mean() + half), abs=0.006)
        assert (row["n"], row["n_groups"], row["n_layers"]) == (400, 200, 4)


def test_several_draws_of_a_twin_are_one_row_of_their_mean(study):
    found = differences(study, {"own": ["twin", "own"]}, resamples=200)
    assert set(found.loc[found["prompt"] == "plain", "twins"]) == {"twin own"}
    # The model itself as a second draw halves every difference.
    single = differences(study, {"own": ["twin"]}, resamples=200)
    both = found[found["prompt"] == "plain"]["difference"].to_numpy()
    assert both == pytest.approx(single["difference"].to_numpy() / 2)


def test_scores_of_another_run_are_an_input_error(study):
    scores, root = study
    scores = scores.assign(value=scores["value"].mask(scores["model"] == "twin", 0.7))
    with pytest.raises(InputError, match=r"twin/agree/plain\.predictions\.parquet: .* run the probes of this cell again"):
        differences((scores, root), {"own": ["twin"]})


def test_the_table_has_its_columns_with_and_without_twins(study, tmp_path):
    scores, root = study
    made = given(tmp_path, (), scores=scores, tasks=TASKS, models=MODELS, predictions=root)
    comparison = COMPARISONS["twin-differences"]
    for twins, rows in (({"own": ["twin"]}, 5), ({}, 0)):
        table = comparison.compute(made, {"resamples": 100, "seed": 0, "twins": twins})
        assert tuple(table.columns) == comparison.columns
        assert len(table) == rows
