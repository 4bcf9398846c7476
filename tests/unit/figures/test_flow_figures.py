"""What the figures and the table of information flow show, read back from them."""

import io
import json
import subprocess
import tempfile

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from benchmarks.interval_coverage import window_coverage
from scipy import stats
from scipy.special import stdtrit

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import read_comparison
from layerwise.compare.statistics.flow_means import FEWEST_IMAGES, Resampled, means, strongest_windows
from layerwise.figures import knockout, objects, tracing
from layerwise.figures.catalogue import FIGURES, TABLES
from layerwise.figures.drawing import style
from layerwise.figures.names import arrow
from layerwise.figures.writing.flow import flow_sections
from layerwise.flow.results import DIFFERENCE_COLUMNS, changes_table, tracing_table, with_differences
from layerwise.probes.bootstrap import resample_weights
from tests.conftest import REPOSITORY
from tests.given import as_options, given

FLOWS = [*knockout.FLOWS, *objects.LINES]
LINES = {"knockout": {name: arrow(name) for name in knockout.FLOWS}, "objects": objects.LINES}
N_LAYERS, PER_TYPE = 4, 12
TYPES = ["QueryAttr", "ChooseCat"]
DESCRIPTION = {
    "cell": {"model": "tiny", "questions": "some", "window": 3},
    "types": {
        kind: {"asked": 20, "kept": PER_TYPE, "kept_share": 0.6, "left_out": {"answered wrongly": 8}} for kind in TYPES
    },
    "without_object_patches": {"not known": 2},
}


@pytest.fixture
def tables():
    """Changes of -10 f - window percent for the f-th flow, and layer / 10 for what is traced; and noise around both."""
    rng = np.random.default_rng(0)
    n = PER_TYPE * len(TYPES)
    asked = pd.DataFrame(
        {
            "question_id": [str(i) for i in range(n)],
            "image_id": [str(i // 2) for i in range(n)],
            "type": np.repeat(TYPES, PER_TYPE),
        }
    )
    p = rng.uniform(0.5, 0.9, n)
    percent = -10 * np.arange(len(FLOWS))[:, None] - np.arange(1, N_LAYERS + 1)
    blocked = p[:, None, None] * (1 + (percent + rng.normal(size=(n, *percent.shape))) / 100)
    blocked[-1, FLOWS.index("object->question")] = np.nan
    casing = np.array([0.0, 0.05])[:, None] + np.arange(N_LAYERS + 1) / 10
    traced = casing + 0.02 * np.arange(2)[:, None, None] + rng.normal(scale=0.001, size=(n, 2, 2, N_LAYERS + 1))
    changes = changes_table(asked, p, blocked, FLOWS)
    return changes, tracing_table(asked, traced.clip(0, 1), (True, False), ("lower", "capitalised"))


def shown(folder, tables, description=DESCRIPTION):
    """What the figures and the table of a cell are made from, on disk."""
    made = dict(zip(("changes", "tracing"), tables, strict=True))
    with_differences = set(DIFFERENCE_COLUMNS) <= set(tables[0])
    comparisons = [
        name
        for name, comparison in COMPARISONS.items()
        if comparison.per_flow
        and (not comparison.only_with or (comparison.only_with == "distractors" and with_differences))
    ]
    return given(folder, comparisons, description=description, **made)


def draw(figure, tables, description=DESCRIPTION):
    with tempfile.TemporaryDirectory() as folder, style.figure_style():
        return FIGURES[figure].draw(shown(folder, tables, description), "")


def facets(drawing):
    return {axes.get_title().partition(" (")[0]: axes for axes in drawing.axes}


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_the_long_tables_hold_every_value_at_its_place(tables):
    changes, tracing = tables
    assert len(changes) == (len(FLOWS) * PER_TYPE * len(TYPES) - 1) * N_LAYERS
    assert len(tracing) == PER_TYPE * len(TYPES) * 4 * (N_LAYERS + 1)
    mean = changes.groupby(["flow", "window"])["change"].mean()
    for f, name in enumerate(FLOWS):
        for window in range(1, N_LAYERS + 1):
            assert mean[name, window] == pytest.approx(-10 * f - window, abs=1)
    mean = tracing.groupby(["norm", "casing", "layer"])["p"].mean()
    assert mean[True, "capitalised", 3] == pytest.approx(0.35, abs=0.002)
    assert mean[False, "lower", 2] == pytest.approx(0.22, abs=0.002)


def test_a_type_that_was_never_answered_rightly_is_named(tables):
    never = {"asked": 50, "kept": 0, "kept_share": 0.0, "left_out": {"answered wrongly": 50}}
    # Nor are questions named that were left out before the model was asked.
    types = {"LogicalObj": never, **DESCRIPTION["types"], "CompareAttr": never | {"asked": 0, "kept_share": None}}
    description = DESCRIPTION | {"types": types}
    for figure in ("knockout", "objects", "tracing"):
        drawn = facets(draw(figure, tables, description))
        assert list(drawn) == ["LogicalObj", *TYPES]
        assert drawn["LogicalObj"].get_title() == "LogicalObj (0 of 50 questions)"
        assert [text.get_text() for text in drawn["LogicalObj"].texts] == ["0 of 50 answered rightly"]
        assert not drawn["LogicalObj"].get_lines()
        assert drawn["LogicalObj"].get_xlim() == pytest.approx((min(drawn_x(drawn)), max(drawn_x(drawn))))
    logits = np.random.default_rng(0).normal(3, 1, len(tables[0]))
    changes = tables[0].assign(**dict(zip(DIFFERENCE_COLUMNS, (logits, logits - 1), strict=True)))
    drawing = draw(
        "logit-difference", (changes, tables[1]), description | {"without_logit_difference": {}, "flows": FLOWS}
    )
    (below,) = [text.get_text() for text in drawing.subfigs[0].texts if "not drawn" in text.get_text()] or [""]
    assert below.endswith("not drawn: LogicalObj (0 of 50 answered rightly)")


def drawn_x(drawn):
    """Where the points of the first line of a facet are."""
    return drawn[TYPES[0]].get_lines()[-1].get_xdata()


@pytest.mark.parametrize("figure", ["knockout", "objects"])
def test_a_facet_per_type_and_a_line_per_flow_through_the_means(tables, figure):
    drawn = facets(draw(figure, tables))
    assert list(drawn) == TYPES
    for kind, axes in drawn.items():
        drawn_lines = lines(axes)
        assert list(drawn_lines) == list(LINES[figure].values())
        for key, name in LINES[figure].items():
            changes = tables[0][(tables[0]["type"] == kind) & (tables[0]["flow"] == key)]
            expected = changes.groupby("window")["change"].mean()
            np.testing.assert_allclose(drawn_lines[name].get_xdata(), expected.index)
            np.testing.assert_allclose(drawn_lines[name].get_ydata(), expected)
        assert len(axes.collections) == len(drawn_lines)


def test_where_the_answer_appears_is_drawn_with_and_without_the_final_norm(tables):
    drawn = facets(draw("tracing", tables))
    drawn_lines = lines(drawn["ChooseCat"])
    assert len(drawn_lines) == 4
    for (norm, casing), name in tracing.LINES.items():
        rows = tables[1]
        rows = rows[(rows["type"] == "ChooseCat") & (rows["norm"] == norm) & (rows["casing"] == casing)]
        np.testing.assert_allclose(drawn_lines[name].get_ydata(), rows.groupby("layer")["p"].mean())
        assert drawn_lines[name].get_linestyle() == ("-" if norm else "--")


def test_titles_say_how_many_questions_there_are_and_the_heading_how_wide_a_window_is(tables):
    drawing = draw("knockout", tables)
    assert drawing.axes[0].get_title() == f"QueryAttr ({PER_TYPE} of 20 questions)"
    (band,) = drawing.subfigs
    assert band.get_suptitle() == "tiny on some, windows of 3 blocks"
    # One question has no patches of an object.
    assert facets(draw("objects", tables))["ChooseCat"].get_title() == f"ChooseCat ({PER_TYPE} of 20 questions)"


def test_types_stand_in_the_order_of_the_description(tables):
    types = {"LogicalObj": {"asked": 0, "kept": 0}} | {kind: DESCRIPTION["types"][kind] for kind in reversed(TYPES)}
    assert list(facets(draw("knockout", tables, DESCRIPTION | {"types": types}))) == TYPES[::-1]


def test_without_any_patches_of_objects_their_figure_says_so(tables):
    changes, traced = tables
    drawing = draw("objects", (changes[~changes["flow"].isin(objects.LINES)], traced))
    assert not drawing.axes
    assert "no question has" in drawing.texts[0].get_text()


def test_a_model_that_knew_no_answer_has_a_figure_that_says_so_and_no_windows(tables, tmp_path):
    folders = [tmp_path / "none", tmp_path / "some"]
    for folder in folders:
        folder.mkdir()
    nothing = [table.iloc[:0] for table in tables]
    for figure in ("knockout", "objects", "tracing"):
        assert "answered no question rightly" in draw(figure, nothing).texts[0].get_text().replace("\n", " ")
    none, some = (
        shown(folder, of_cell).paths("flow-strongest")
        for folder, of_cell in zip(folders, (nothing, tables), strict=True)
    )
    for paths in ([*none, *some], [*some, *none]):
        strongest = read_comparison("flow-strongest", paths)
        pd.testing.assert_frame_equal(strongest, pd.read_parquet(some[0]))
        assert len(strongest) == len(FLOWS) * len(TYPES)
    assert flow_sections(read_comparison("flow-strongest", none), [DESCRIPTION])[0].frame.empty


def test_bands_resample_images_and_are_student_s_of_normal_changes():
    """Two questions of one image say the same: they are worth one."""
    rng = np.random.default_rng(1)
    n = 60
    value = rng.normal(size=(n, 3))
    asked = pd.DataFrame({"question_id": range(2 * n), "image_id": np.repeat(range(n), 2), "type": "QueryAttr"})
    p = np.full(2 * n, 0.5)
    blocked = 0.5 * (1 + np.repeat(value, 2, axis=0)[:, None] / 100)
    found = means(changes_table(asked, p, blocked, ["image->last"]), ["flow"], "window", "change", 4000, seed=0)
    half = stdtrit(n - 1, 0.975) * value.std(0, ddof=1) / np.sqrt(n)
    assert (found["n"].unique(), found["n_images"].unique()) == (2 * n, n)
    np.testing.assert_allclose(found["mean"], value.mean(0), atol=1e-9)
    np.testing.assert_allclose(found["high"] - found["low"], 2 * half, rtol=0.06)
    few = means(changes_table(asked[:40], p[:40], blocked[:40], ["flow"]), ["flow"], "window", "change", 200, seed=0)
    half = stdtrit(19, 0.975) * value[:20].std(0, ddof=1) / np.sqrt(20)
    np.testing.assert_allclose(few["high"] - few["mean"], half, rtol=1e-9)


def test_a_studentised_mean_is_scipys():
    """Each image another number of questions: the mean is a ratio, and its error that of statsmodels' clusters."""
    rng = np.random.default_rng(5)
    images = np.repeat(np.arange(80), rng.integers(1, 4, 80))
    values = rng.lognormal(size=(len(images), 2))
    sample = Resampled.of(values, images, 2000, np.random.default_rng(0))
    for place, column in enumerate(values.T):
        model = sm.OLS(column, np.ones(len(images)))
        fitted = model.fit(cov_type="cluster", cov_kwds={"groups": images, "use_correction": False})
        assert sample.mean[place] == pytest.approx(float(fitted.params[0]))
        assert sample.error[place] == pytest.approx(float(fitted.bse[0]) * np.sqrt(80 / 79))
    # Resamples' errors are those of the values that they are of.
    weights = resample_weights(np.arange(80), 2000, np.random.default_rng(0))[7]
    repeated = np.concatenate([np.tile(np.flatnonzero(images == i), times) for i, times in enumerate(weights)])
    copies = np.concatenate([np.repeat(np.arange(t), (images == i).sum()) * 1000 + i for i, t in enumerate(weights)])
    alone = Resampled.of(values[repeated], copies, 1, np.random.default_rng(0))
    np.testing.assert_allclose(alone.mean - sample.mean, sample.shifts[7])
    np.testing.assert_allclose(alone.error, sample.errors[7])
    # Scipy's bootstrap of Student's statistic, of one question per image.
    column = values[np.unique(images, return_index=True)[1], 0]
    low, high = Resampled.of(column[:, None], np.arange(80), 20_000, np.random.default_rng(1)).each()
    draws = np.random.default_rng(2).choice(column, (20_000, 80))
    ratios = stats.ttest_1samp(draws, column.mean(), axis=1).statistic
    error = column.std(ddof=1) / np.sqrt(80)
    expected = column.mean() - np.quantile(ratios, [0.975, 0.025]) * error
    np.testing.assert_allclose([low[0], high[0]], expected, rtol=0.03)
    assert high[0] - column.mean() > 1.3 * (column.mean() - low[0])


def test_no_band_goes_below_an_answer_that_is_lost(tables):
    asked = tables[0][["question_id", "image_id", "type"]].drop_duplicates().head(5)
    p = np.full(5, 0.5)
    blocked = p[:, None, None] * np.array([0.01, 0, 0, 0, 0.3])[:, None, None]
    changes = changes_table(asked, p, blocked, ["image->last"])
    found = means(changes, ["flow"], "window", "change", 200, seed=0).loc[0]
    assert found["low"] == -100
    assert found["low"] < found["mean"] < found["high"]


@pytest.mark.parametrize("apart", [0.0, 10.0])
def test_the_strongest_window_s_interval_holds_for_very_skewed_changes(apart):
    """Of 60 images; an interval of standard errors that holds for all windows at once covers 72 and 76 %."""
    assert window_coverage("very skewed", 60, apart, 120, 0) >= 0.9


def test_too_few_images_or_ones_that_change_alike_have_no_interval_of_a_strongest_window():
    values = np.random.default_rng(0).normal(size=(FEWEST_IMAGES, 4))
    images = np.arange(FEWEST_IMAGES)

    def strongest(values, images):
        return Resampled.of(values, images, 300, np.random.default_rng(0)).strongest()

    place, low, high = strongest(values, images)
    assert place == values.mean(0).argmin()
    assert low < values.mean(0).min() < high
    assert np.isnan(strongest(values[1:], images[1:])[1:]).all()
    # One image of all loses its answer: a third of the resamples have no such image, and cannot tell how rare it is.
    rare = np.where(images[:, None] == 3, -100.0, np.zeros((1, 4)))
    assert np.isnan(strongest(rare, images)[1:]).all()
    assert np.isnan(Resampled.of(rare, images, 300, np.random.default_rng(0)).each()).all()
    assert strongest(np.full((FEWEST_IMAGES, 4), -7.0), images)[1:] == (-7, -7)


def test_the_strongest_window_is_the_lowest_mean_of_its_flow(tables):
    strongest = strongest_windows(tables[0], DESCRIPTION, 200, seed=0)
    assert strongest["type"].tolist() == [kind for kind in TYPES for _ in FLOWS]
    assert strongest["flow"].tolist() == FLOWS * len(TYPES)
    for row in strongest.itertuples():
        mean = tables[0][(tables[0]["type"] == row.type) & (tables[0]["flow"] == row.flow)]
        mean = mean.groupby("window")["change"].mean()
        assert (row.window, row.change) == (mean.idxmin(), pytest.approx(mean.min()))
        assert np.isnan([row.low, row.high]).all()
    of_objects = strongest[(strongest["flow"] == "object->question") & (strongest["type"] == "ChooseCat")]
    assert of_objects["n"].tolist() == [PER_TYPE - 1]
    windows, kept = flow_sections(strongest, [DESCRIPTION])
    assert windows.frame.iloc[0]["window"] == f"{strongest['window'][0]} of {N_LAYERS}"
    assert kept.frame.iloc[0].tolist() == ["QueryAttr", 20, PER_TYPE, "60.0", "8: answered wrongly"]
    assert kept.frame.iloc[-1]["left out"] == "without object patches: not known"


def test_what_rounds_to_zero_has_no_sign_and_one_image_no_interval(tables):
    strongest = strongest_windows(tables[0], DESCRIPTION, 100, seed=0).head(2)
    strongest[["change", "low", "high"]] = [[-0.02, -0.04, 0.01], [-50.25, np.nan, np.nan]]
    assert flow_sections(strongest, [DESCRIPTION])[0].frame["change (%)"].tolist() == ["0.0 [0.0, 0.0]", "−50.2 [–, –]"]


def test_the_commands_write_the_same_files_twice_and_refuse_another_format(tables, tmp_path, warm):
    made = shown(tmp_path, tables)
    made.files["flow-changes"] = [tmp_path / "again.parquet"]
    options = json.dumps({"resamples": 200, "seed": 0})
    command = [warm, REPOSITORY / "scripts/compare.py", "--comparison", "flow-changes", "--options", options]
    subprocess.run(
        list(map(str, [*command, "--out", tmp_path / "again.parquet", "--inputs", *as_options(made)])), check=True
    )
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "compared-flow-changes.parquet").read_bytes()
    plot = [warm, REPOSITORY / "scripts/plot_figure.py", "--figure", "knockout", "--inputs", *as_options(made)]
    written = []
    for folder in ("a", "b"):
        out = [tmp_path / folder / f"knockout.{suffix}" for suffix in style.FORMATS]
        subprocess.run(list(map(str, [*plot, "--out", *out])), check=True)
        written.append([file.read_bytes() for file in out])
    assert written[0] == written[1]
    bad = [*plot, "--out", tmp_path / "a.gif"]
    result = subprocess.run(list(map(str, bad)), capture_output=True, text=True, check=False)
    assert (result.returncode, "choose one of these suffixes" in result.stderr) == (1, True)
    table = [warm, REPOSITORY / "scripts/make_table.py", "--table", "flow", "--inputs", *as_options(made)]
    table += ["--out-dir", tmp_path]
    subprocess.run(list(map(str, table)), check=True)
    assert set(pd.read_csv(tmp_path / "flow.csv")["flow"]) == set(FLOWS)
    assert "QueryAttr" in (tmp_path / "flow.html").read_text()
    assert "tiny on some" in (tmp_path / "flow.md").read_text()
    assert r"\begin{tabular}" in (tmp_path / "flow.tex").read_text()
    assert "Partial" not in (tmp_path / "flow.md").read_text()
    # Where a model was left out, each format that has a place for it says so.
    subprocess.run(list(map(str, [*table, "--left-out", "large"])), check=True)
    assert all("Partial: without large." in (tmp_path / f"flow.{form}").read_text() for form in ("md", "html", "tex"))


OWN_FLOWS = ["image->question", "image 1->image 2", "image->span:who", "span:who->question"]
OWN = DESCRIPTION | {"flows": OWN_FLOWS, "without_logit_difference": {"it has no distractor": 3}}


@pytest.fixture
def own_tables():
    """As ``tables``, of a user's own questions: the logit difference falls by f + window / 10 with the f-th flow."""
    rng = np.random.default_rng(2)
    n = PER_TYPE * len(TYPES)
    asked = pd.DataFrame({"question_id": range(n), "image_id": [str(i) for i in range(n)]})
    asked["type"] = np.repeat(TYPES, PER_TYPE)
    p, free = rng.uniform(0.5, 0.9, n), rng.normal(3, 1, n)
    fall = np.arange(len(OWN_FLOWS))[:, None] + np.arange(1, N_LAYERS + 1) / 10
    differences = free[:, None, None] - fall
    # One question has no distractor.
    free[-1], differences[-1] = np.nan, np.nan
    blocked = np.repeat(0.9 * p, len(OWN_FLOWS) * N_LAYERS).reshape(n, len(OWN_FLOWS), N_LAYERS)
    blocked[0, 2] = np.nan
    changes = with_differences(changes_table(asked, p, blocked, OWN_FLOWS), asked, free, differences, OWN_FLOWS)
    traced = tracing_table(asked, np.full((n, 2, 2, N_LAYERS + 1), 0.5), (True, False), ("lower", "capitalised"))
    return changes, traced


def test_differences_of_logits_stand_beside_their_own_blocked_runs(own_tables):
    changes, _ = own_tables
    fall = changes["logit_difference"] - changes["logit_difference_blocked"]
    expected = changes["flow"].map(OWN_FLOWS.index) + changes["window"] / 10
    there = fall.notna()
    np.testing.assert_allclose(fall[there], expected[there])
    assert (~there).sum() == len(OWN_FLOWS) * N_LAYERS
    assert len(changes) == (PER_TYPE * len(TYPES) * len(OWN_FLOWS) - 1) * N_LAYERS


@pytest.mark.parametrize(
    ("figure", "flows"),
    [("logit-difference", OWN_FLOWS), ("pictures", OWN_FLOWS[1:2]), ("spans", OWN_FLOWS[2:])],
)
def test_a_facet_per_flow_and_a_line_per_type(own_tables, figure, flows):
    drawing = draw(figure, own_tables, OWN)
    drawn = facets(drawing)
    assert list(drawn) == [arrow(flow) for flow in flows]
    for flow, axes in zip(flows, drawn.values(), strict=True):
        assert list(lines(axes)) == TYPES
        for kind, line in lines(axes).items():
            falls = [-OWN_FLOWS.index(flow) - window / 10 for window in range(1, N_LAYERS + 1)]
            expected = falls if figure == "logit-difference" else [-10.0] * N_LAYERS
            np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-9, err_msg=kind)
    assert arrow("span:who->question") == "who \N{RIGHTWARDS ARROW} question"
    of_spans = drawing.axes[-1].get_title()
    # A question without a distractor has no logit difference, and one has not the third flow.
    n = PER_TYPE * len(TYPES) - (figure == "logit-difference")
    assert of_spans.endswith(f"({n} questions)")


def test_without_a_logit_difference_the_figure_says_why(own_tables):
    changes, traced = own_tables
    changes = changes.assign(logit_difference_blocked=np.nan)
    said = draw("logit-difference", (changes, traced), OWN).texts[0].get_text().replace("\n", " ")
    assert "no logit difference could be measured (it has no distractor)" in said


def test_the_table_has_the_strongest_windows_by_either_measure(own_tables, tmp_path):
    sections, numbers = TABLES["flow"].write(shown(tmp_path, own_tables, OWN), "last")
    assert [section.title.partition(": ")[2] for section in sections] == [
        "strongest windows of 3 blocks",
        "strongest windows of 3 blocks, by logits",
        "questions",
    ]
    assert sections[1].frame["flow"].tolist() == [arrow(flow) for flow in OWN_FLOWS] * len(TYPES)
    # The last window is the strongest, by 0.4 more than the flow's place.
    assert set(sections[1].frame["window"]) == {f"{N_LAYERS} of {N_LAYERS}"}
    assert sections[1].frame["change of logits"].str.startswith("\N{MINUS SIGN}3.40").sum() == len(TYPES)
    assert sections[2].frame["left out"].iloc[-1] == "without logit difference: it has no distractor"
    table = pd.read_csv(io.StringIO(numbers))
    assert table["measure"].value_counts().to_dict() == {"probability (%)": 8, "logit difference": 8}
