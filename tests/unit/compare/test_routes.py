"""What trained routes bring: five differences on the same items, against a control with as many parameters."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given
from layerwise.errors import InputError
from layerwise.figures.catalogue import TABLES
from layerwise.used.routes.files import write_control
from tests.answers import BINARY, MODEL, items, made, noisy, probe_scores, write_cell

BASE = replace(MODEL, n_layers=2, digest="d")
ROUTED = replace(BASE, model="routed", digest="e", base="d", intervention={"route": {"name": "up"}})
ABOUT = {
    "kind": "map",
    "parameters": 512,
    "control": {"parameters": 519},
    "cell": {"route": {"kind": "map", "from": 1, "rank": 2}},
}
OPTIONS = {"resamples": 300, "permutations": 1999, "seed": 0}


def accuracy(table, margins):
    """On the test items, computed by hand."""
    test = (table["split"] == "test").to_numpy()
    return ((margins[test, 0] > 0) == table["y"].to_numpy()[test]).mean()


@pytest.fixture
def cells(tmp_path):
    """Block 1 knows more than the top; the route makes the model say it; the control is as good as the top's probe."""
    table = items(BINARY)
    known = {layer: noisy(table, BINARY, strength, layer) for layer, strength in enumerate((0.1, 1.6, 0.4))}
    routed = known | {2: noisy(table, BINARY, 2.0, 12)}
    said = {"m": noisy(table, BINARY, 0.05, 21), "routed": noisy(table, BINARY, 1.8, 22)}
    control = noisy(table, BINARY, 0.4, 31)
    for model, probes in (("m", known), ("routed", routed)):
        # The answers of layers below the top are of no interest here.
        write_cell(tmp_path, BINARY, table, probes, dict.fromkeys(range(4), said[model]), model=model)
    file = tmp_path / "used/routes/m/agree/plain/up.control.parquet"
    file.parent.mkdir(parents=True)
    write_control(file, table.assign(layer=2, pred=0, scores=list(control.astype(np.float32))), ABOUT)
    scores = pd.concat(
        [probe_scores(BINARY, table, probes, 2, model=model) for model, probes in (("m", known), ("routed", routed))]
    )
    found = made(tmp_path, [BINARY], models=(BASE, ROUTED), scores=scores)
    numbers = {
        "said with": said["routed"], "said without": said["m"], "control": control,
        "top with": routed[2], "top without": known[2], "best below": known[1],
    }  # fmt: skip
    return Given(found.files | {"route-controls": [file]}), {name: accuracy(table, of) for name, of in numbers.items()}


def test_each_question_compares_what_it_says(cells):
    given, numbers = cells
    table = COMPARISONS["routes"].compute(given, OPTIONS)[list(COMPARISONS["routes"].columns)]
    expected = {
        "answers": ("said with", "said without"),
        "top": ("top with", "top without"),
        "below": ("top with", "best below"),
        "control": ("said with", "control"),
        "trained probe": ("control", "top without"),
    }
    assert list(table["question"]) == list(expected)
    for row in table.itertuples():
        first, second = (numbers[name] for name in expected[row.question])
        assert (row.first, row.second) == pytest.approx((first, second))
        assert row.difference == pytest.approx(first - second)
        assert row.difference_low < row.difference < row.difference_high
        assert row.p_holm >= row.p_value
    row = table.iloc[0]
    assert (row["model"], row["base"], row["route"], row["from"], row["best_layer"]) == ("routed", "m", "up", 1, 1)
    assert (row["parameters"], row["control_parameters"], row["n"], row["n_groups"]) == (512, 519, 120, 40)
    by_question = table.set_index("question")["p_holm"]
    assert (by_question[["answers", "top", "control"]] < 0.01).all()
    assert by_question["trained probe"] > 0.05
    pd.testing.assert_frame_equal(table, COMPARISONS["routes"].compute(given, OPTIONS)[list(table.columns)])


def test_the_table_says_how_many_parameters_each_has(cells, tmp_path):
    given, numbers = cells
    file = tmp_path / "routes.parquet"
    COMPARISONS["routes"].compute(given, OPTIONS)[list(COMPARISONS["routes"].columns)].to_parquet(file)
    (section,), csv = TABLES["table-routes"].write(Given({"routes": [file]}), "last")
    assert set(section.frame["Parameters"]) == {"512 / 519"}
    assert set(section.frame["Route"]) == {"up (map, from block 1)"}
    shown = section.frame.set_index("Compared")
    assert shown.loc["its answers − control", "First"] == f"{100 * numbers['said with']:.1f}"
    assert shown.loc["probe of the top − best layer below without it (layer 1)", "Second"] == (
        f"{100 * numbers['best below']:.1f}"
    )
    assert csv.startswith("model,base,route,kind,from,parameters,control_parameters,")


def test_a_study_whose_routes_nobody_runs_with_is_refused(cells):
    given, _ = cells
    given.models.pop("routed")
    with pytest.raises(InputError, match="no model runs with a trained route"):
        COMPARISONS["routes"].compute(given, OPTIONS)


def test_predictions_of_another_run_are_refused(cells):
    given, _ = cells
    given.scores.loc[(given.scores["model"] == "routed") & (given.scores["layer"] == 2), "value"] -= 0.1
    with pytest.raises(InputError, match="are from different runs"):
        COMPARISONS["routes"].compute(given, OPTIONS)
