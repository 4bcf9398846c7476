"""Kept probes carried between cells with planted directions, by the real programs, against scikit-learn."""

import json

import numpy as np
import pandas as pd
import pytest
from benchmarks import carried as planted
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Model, Task
from layerwise.compare.statistics.carrying import compare_carried
from layerwise.compare.transfers import Homes, ProbedTask, TransfersInto
from layerwise.errors import InputError
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.drawing.carried import draw_losses, draw_matrix
from layerwise.probes.carrying import Carried
from layerwise.states.store import StatesFile
from tests.cells import run_here

PROMPTS = ("plain", "turned", "shifted", "negated")


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def study(tmp_path_factory, patched):
    """The folder of a planted study whose probes are fitted and carried."""
    folder = tmp_path_factory.mktemp("planted")
    planted.plant(folder, seed=0)
    for prompt in PROMPTS:
        run_here(planted.fit_command(folder, prompt, "sklearn"), patched)
    run_here(planted.carry_command(folder, PROMPTS), patched)
    return folder


def row(table, source, prompt, metric="accuracy", centre="source", flipped=False, layer=planted.BLOCKS):
    keys = {"source_prompt": source, "prompt": prompt, "metric": metric, "centre": centre, "flipped": flipped}
    keys["layer"] = layer
    (found,) = table[(table[list(keys)] == pd.Series(keys)).all(axis=1)].itertuples()
    return found


@pytest.fixture(scope="module")
def table(study):
    return pd.read_parquet(study / "carried.parquet")


def by_sklearn(folder, source, prompt, layer=planted.BLOCKS):
    """Classes of the test items, and margins of the source's probe on the states of a prompt."""
    labels = pd.read_parquet(folder / "task/labels.parquet")
    states = []
    for name in (source, prompt):
        with StatesFile(folder / f"states/{name}.h5") as file:
            states.append(file.layer("last", layer).astype(np.float64))
    train, test = (labels["split"] == split for split in ("train", "test"))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, tol=1e-8)).fit(
        states[0][train], labels["y"][train]
    )
    shift = states[1][train].mean(axis=0) - states[0][train].mean(axis=0)
    y = labels["y"][test].to_numpy()
    return y, model.decision_function(states[1][test]), model.decision_function(states[1][test] - shift)


@pytest.mark.parametrize(("source", "prompt"), [("plain", "shifted"), ("shifted", "turned"), ("turned", "negated")])
def test_carried_scores_are_those_of_scikit_learns_probe_on_the_other_states(study, table, source, prompt):
    y, as_fitted, re_centred = by_sklearn(study, source, prompt)
    for centre, margins in (("source", as_fitted), ("own", re_centred)):
        found = row(table, source, prompt, centre=centre)
        assert found.value == pytest.approx(accuracy_score(y, margins > 0), abs=2e-3)
        assert row(table, source, prompt, "roc_auc", centre).value == pytest.approx(roc_auc_score(y, margins), abs=1e-4)
    y, at_home, _ = by_sklearn(study, source, source)
    assert found.home == pytest.approx(accuracy_score(y, at_home > 0), abs=2e-3)
    y, own, _ = by_sklearn(study, prompt, prompt)
    assert found.own == pytest.approx(accuracy_score(y, own > 0), abs=2e-3)


def test_a_shift_is_lost_as_fitted_and_recovered_when_re_centred(table):
    assert row(table, "plain", "shifted").value < 0.55
    back = row(table, "plain", "shifted", centre="own")
    assert back.value > 0.85
    assert back.loss_low < 0 < back.loss_high
    assert row(table, "plain", "shifted").p_value < 0.01 < back.p_value


def test_another_direction_is_at_chance(table):
    assert row(table, "plain", "turned", centre="own").value == pytest.approx(0.5, abs=0.07)


def test_a_negating_prompt_flips_what_is_read(table):
    assert row(table, "plain", "negated").value < 0.15
    flipped = row(table, "plain", "negated", flipped=True)
    assert flipped.value > 0.85
    assert flipped.value == pytest.approx(1 - row(table, "plain", "negated").value)
    assert table.query("flipped")[["prompt", "source_prompt"]].isin(["negated"]).any(axis=1).all()


def test_all_items_are_scored_and_the_final_norm_is_not_tested(table):
    assert (table["n"] == planted.SPLITS["test"]).all()
    assert (table["n_groups"] == planted.SPLITS["test"] // 2).all()
    assert table.loc[table["layer"] > table["n_layers"], "p_value"].isna().all()


def test_one_direction_for_all_labels_is_found_when_labels_are_re_centred(tmp_path, monkeypatch):
    """Each label's items lie elsewhere along the direction."""
    planted.plant(tmp_path, 1, labels=("dog", "cat"))
    run_here(planted.fit_command(tmp_path, "plain", "sklearn"), monkeypatch)
    run_here(planted.carry_command(tmp_path, ("plain",), labels=True), monkeypatch)
    found = pd.read_parquet(tmp_path / "carried.parquet")
    assert row(found, "plain", "plain").value < 0.55
    assert row(found, "plain", "plain", centre="own").value > 0.85
    assert set(found["label"]) == {"macro"}
    assert set(found["n_labels"]) == {2}


def from_another_task(folder, seen, flipped=None):
    """Rows of the shifted prompt's probes, as those of another task with training pictures that the target shows."""
    labels = pd.read_parquet(folder / "task/labels.parquet")
    description = json.loads((folder / "task/task.json").read_text())
    pictures = pd.Series([f"picture {k}" for k in range(len(labels))], index=labels["item_id"])
    others = labels.assign(item_id="other-" + labels["item_id"])
    of_others = pd.Series([f"other picture {k}" for k in range(len(labels))], index=others["item_id"])
    training = others.loc[others["split"] == "train", "item_id"]
    of_others[training[: len(seen)]] = pictures[seen].to_numpy()
    tasks = {
        "planted": ProbedTask(description, labels, pictures),
        "other": ProbedTask(description | {"task": "other", "classes": ["right", "wrong"]}, others, of_others),
    }
    if not (folder / "probes/planted/other").exists():
        (folder / "probes/planted/other").symlink_to(folder / "probes/planted/planted")
    carried = Carried("tasks", "plain", ("planted", "other", "shifted"), {"wrong": "no", "right": "yes"}, flipped)
    with StatesFile(folder / "states/plain.h5") as file:
        rows = pd.Series(file.row_of_item, index=file.item_ids)
        cell = "planted", "planted", "plain"
        into = TransfersInto(cell, [carried], tasks, Homes(folder / "probes"), file.layers, rows)
        for layer in range(len(file.layers)):
            into.layer(layer, file.layer("last", layer))
    return into.table(2000, 0)


def test_classes_are_mapped_and_items_on_pictures_of_the_fit_are_left_out(study, table):
    """The other task calls the classes right and wrong in the other order, so that its margins turn."""
    test = pd.read_parquet(study / "task/labels.parquet").query("split == 'test'")["item_id"].to_numpy()
    # Two of the same image, and one whose image has another item.
    found = row(from_another_task(study, test[[0, 1, 10]]), "shifted", "plain", centre="own")
    assert (found.left_out, found.n) == (4, len(test) - 4)
    assert found.value == pytest.approx(1 - row(table, "shifted", "plain", centre="own").value, abs=0.02)
    assert found.n_groups == len(test) // 2 - 2


def test_classes_that_a_task_has_not_are_not_flipped(study):
    other = from_another_task(study, [], flipped={"red": "blue", "blue": "red"})
    assert not other["flipped"].any()


def test_too_few_items_are_said_rather_than_scored(study):
    test = pd.read_parquet(study / "task/labels.parquet").query("split == 'test'")["item_id"].to_numpy()
    (found,) = from_another_task(study, test[8::2]).itertuples()
    assert found.why_not == "fewer than 5 items: 4 of no in agrees"
    assert (found.layer, found.n, found.left_out) == (-1, 0, len(test) - 8)
    assert np.isnan(found.value)


def test_probes_of_another_shape_are_refused(study):
    carried = [Carried("versions", "plain", ("planted", "planted", "turned"))]
    labels = pd.read_parquet(study / "task/labels.parquet")
    tasks = {"planted": ProbedTask(json.loads((study / "task/task.json").read_text()), labels, pd.Series(dtype=object))}
    rows = pd.Series(np.arange(len(labels)), index=labels["item_id"])
    cell, homes = ("planted", "planted", "plain"), Homes(study / "probes")
    with pytest.raises(InputError, match=r"has probes of 4 layers, and the states have 3"):
        TransfersInto(cell, carried, tasks, homes, planted.LAYERS[1:], rows).layer(0, np.zeros((len(labels), 16)))
    with pytest.raises(InputError, match="probes of width 16 cannot read states of width 8"):
        TransfersInto(cell, carried, tasks, homes, planted.LAYERS, rows).layer(0, np.zeros((len(labels), 8)))


def test_kept_probes_of_another_model_or_of_other_labels_are_refused(study):
    carried, homes = [Carried("prompts", "plain", ("planted", "planted", "turned"))], Homes(study / "probes")
    description, labels = (study / "task/task.json").read_text(), pd.read_parquet(study / "task/labels.parquet")
    with StatesFile(study / "states/plain.h5") as file:
        digest, layers, states = file.cell["model_digest"], file.layers, file.layer("last", 0)
        rows = pd.Series(file.row_of_item, index=file.item_ids)
    turned = labels.assign(y=1 - labels["y"])
    for key, of_labels, of_model in (
        ("", labels, digest),
        ("model_digest", labels, "another"),
        ("labels_digest", turned, digest),
    ):
        tasks = {"planted": ProbedTask(json.loads(description), of_labels, pd.Series(dtype=object))}
        made_from = {"model_digest": of_model, "position": "last"}
        into = TransfersInto(("planted", "planted", "plain"), carried, tasks, homes, layers, rows, made_from)
        if not key:
            into.layer(0, states)
            continue
        with pytest.raises(InputError, match=rf"plain.probes.h5: these probes .* \({key} differ\); delete it"):
            into.layer(0, states)


@pytest.fixture(scope="module")
def compared(study, table):
    """The comparison of the planted study, with its headline scores and tasks."""
    scores = [
        pd.read_parquet(study / f"probes/planted/planted/{prompt}.scores.parquet").assign(prompt=prompt)
        for prompt in PROMPTS
    ]
    scores = pd.concat(scores).assign(model="planted", task="planted")
    tasks = {"planted": Task("planted", "planted", "global", "binary", ["agrees"], ["no", "yes"], "accuracy")}
    return compare_carried(table, scores, tasks), scores, tasks


def test_draws_of_random_weights_are_carried_one_by_one():
    """In the headline scores they are one model, so that a draw would have no best layer and no own probe."""
    for entry in (COMPARISONS["carried"], FIGURES["carried-matrix"]):
        assert "scores" in entry.reads
        assert "headline" not in entry.reads


def test_p_values_at_the_best_layers_are_corrected_over_all_carried_probes(compared):
    found, scores, _ = compared
    validation = scores.query("split == 'val' and metric == 'accuracy' and probe == 'logistic' and layer <= n_layers")
    for prompt, of_prompt in validation.groupby("prompt"):
        best = of_prompt.sort_values(["value", "layer"], ascending=[False, True])["layer"].iloc[0]
        assert set(found.loc[found["prompt"] == prompt, "best_layer"]) == {best}
    for _, family in found[found["p_holm"].notna()].groupby("centre"):
        assert (family["layer"] == family["best_layer"]).all()
        assert len(family) == len(PROMPTS) * (len(PROMPTS) - 1)
        rising = np.sort(family["p_value"])
        wanted = np.maximum.accumulate(rising * np.arange(len(rising), 0, -1)).clip(max=1)
        assert np.sort(family["p_holm"]) == pytest.approx(wanted)


def test_the_map_shows_the_scores_of_sources_by_targets(compared):
    found, scores, tasks = compared
    models = {"planted": Model("planted", "drawn", "pretrained", planted.BLOCKS, planted.WIDTH)}
    (band,) = draw_matrix(found, scores, tasks, models, "planted").subfigs
    panel = band.axes[3]
    assert panel.get_title() == "topmost block, re-centred"
    shown = {tuple(map(int, text.xy)): text.get_text() for text in panel.texts}
    names = [text.get_text() for text in band.axes[0].get_yticklabels()]
    assert [text.get_text() for text in panel.get_xticklabels()] == [f"{name} ({planted.BLOCKS})" for name in names]
    for x, prompt in enumerate(names):
        for y, source in enumerate(names):
            if x == y:
                own = scores.query(
                    "probe == 'logistic' and split == 'test' and metric == 'accuracy' and prompt == @prompt"
                )
                assert shown[x, y] == f"{100 * own.query('layer == n_layers')['value'].iloc[0]:.0f}"
                continue
            wanted = f"{100 * row(found, source, prompt, centre='own').value:.0f}"
            if "negated" in (source, prompt):
                wanted += f" ({100 * row(found, source, prompt, centre='own', flipped=True).value:.0f})"
            assert shown[x, y] == wanted


def test_the_map_says_which_targets_have_too_few_items(compared):
    """Such a target has one row for each source, with one of the two centres."""
    found, scores, tasks = compared
    models = {"planted": Model("planted", "drawn", "pretrained", planted.BLOCKS, planted.WIDTH)}
    few = found["prompt"] == "turned"
    said = found[few].drop_duplicates(["source_prompt"]).assign(layer=-1, centre="source", flipped=False, value=np.nan)
    (band,) = draw_matrix(pd.concat([found[~few], said]), scores, tasks, models, "planted").subfigs
    names = [text.get_text() for text in band.axes[0].get_yticklabels()]
    of_turned = names.index("turned")
    for panel in band.axes[:4]:
        shown = {tuple(map(int, text.xy)): text.get_text() for text in panel.texts}
        column = [shown[of_turned, y] for y in range(len(names))]
        assert column.pop(of_turned).isdecimal()
        assert set(column) == {"few"}


def test_lines_show_the_loss_of_each_source(compared):
    found, _, tasks = compared
    models = {"planted": Model("planted", "drawn", "pretrained", planted.BLOCKS, planted.WIDTH)}
    (band,) = draw_losses(found, tasks, models, "planted").subfigs
    (facet,) = (axes for axes in band.axes if axes.get_title() == "planted: shifted")
    lines = [line.get_ydata() for line in facet.get_lines()]
    for centre in ("source", "own"):
        for source in ("plain", "turned", "negated"):
            wanted = [row(found, source, "shifted", centre=centre, layer=k).loss for k in range(planted.BLOCKS + 1)]
            assert any(len(line) == len(wanted) and np.allclose(line, wanted) for line in lines)
