"""docs/findings.md says what docs/findings.csv holds, and claims no more than its seeds bear out."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.findings.claims import Difference, Findings, Sample
from layerwise.findings.document import read_findings, render
from layerwise.findings.gather import COLUMNS, about
from layerwise.study import Study
from tests.conftest import REPOSITORY

TEMPLATES = REPOSITORY / "report/findings"
TABLE = REPOSITORY / "docs/findings.csv"
SEEDS = range(5)
CHANCE = {"entailment": 50.0, "snli-ve": 33.3, "objects": 50.0, "count": 25.0, "asked-colour": 16.67}
CELLS = [
    ("entailment", "agree"), ("entailment", "agree-text-only"), ("snli-ve", "statement"),
    ("snli-ve", "statement-text-only"), ("objects", "no-cue"), ("objects", "category"), ("count", "no-cue"),
    ("asked-colour", "no-cue"), ("asked-colour", "category"),
]  # fmt: skip
SAID = [("entailment", "agree"), ("snli-ve", "statement"), ("objects", "category")]
FLOWS = ["image->last", "image->question", "object->question", "other->question", "question->last"]


def planted(change=None) -> pd.DataFrame:
    """A table of all that a study may hold, by a rule; ``change(row)`` gives other values where it gives any."""
    rows = []

    def add(what, model, objective, seed, task, prompt, layer, value):
        row = (what, model, objective, seed, task, prompt, layer)
        changed = change(*row) if change else None
        rows.append((*row, value if changed is None else changed))

    for task, chance in CHANCE.items():
        add("chance", "", "", 0, task, "", 0, chance)
    groups = [("trained", o) for o in ("both", "captions", "questions")] + [("untrained", "")]
    for group, objective in [*groups, ("cut-image lower", "both")]:
        for seed in SEEDS:
            for task, prompt in CELLS:
                for layer in range(7):
                    known = 0 if "text-only" in prompt or group != "trained" else 40 * min(layer, 3) / 3
                    value = round(CHANCE[task] + known + 0.1 * ((seed * 7 + layer) % 5 - 2) * (known > 0), 2)
                    add("test", group, objective, seed, task, prompt, layer, value)
                    if group == "trained":
                        add("validation", group, objective, seed, task, prompt, layer, value)
                if group == "trained" and (task, prompt) in SAID:
                    for layer in range(8):
                        # The model leans to one answer: it says less than it knows, but for the threshold.
                        add("said", group, objective, seed, task, prompt, layer, CHANCE[task] + 20.0 + seed / 10)
                        value = CHANCE[task] + 40.2 + (seed % 2 - 0.5) / 10
                        add("said at threshold", group, objective, seed, task, prompt, layer, value)
                    for layer in range(7):
                        add("known, not said", group, objective, seed, task, prompt, layer, 20.0 + seed)
                        add("known, not said by chance", group, objective, seed, task, prompt, layer, 15.0 + seed)
    for task, prompt in SAID:
        for seed in SEEDS:
            for block in range(1, 7):
                # Agreement is used in two blocks, in the second one by most seeds.
                used = task == "entailment" and (block == 3 or (block == 4 and seed > 1))
                add("used", "trained", "both", seed, task, prompt, block, 100.0 * used)
                add("taken", "trained", "both", seed, task, prompt, block, 80.0 * used + seed)
    for objective in ("both", "captions", "questions"):
        for seed in SEEDS:
            add("steps", "trained", objective, seed, "", "", 0, 100.0)
            for lesson in ("describe", "object"):
                add("held-out", "trained", objective, seed, lesson, "", 0, 90.0 + seed)
    for seed in SEEDS:
        for kind in ("ChooseAttr", "LogicalObj"):
            add("kept", "trained", "both", seed, kind, "", 0, 80.0 + seed)
            for i, flow in enumerate(FLOWS):
                for window in range(1, 7):
                    add("flow", "trained", "both", seed, kind, flow, window, -10.0 * i / window + 0.1 * seed)
    return pd.DataFrame(rows, columns=COLUMNS)


def document(table: pd.DataFrame, template: str = "findings.md.j2") -> str:
    return render(TEMPLATES / template, table)


@pytest.fixture(scope="module")
def text() -> str:
    """The document of the planted table as it is."""
    return document(planted())


def test_the_committed_document_is_what_the_committed_table_renders_to():
    assert (REPOSITORY / "docs/findings.md").read_text() == document(read_findings(TABLE))


def test_it_says_what_is_known_and_not_said(text):
    row = "| captions agree? (global) | captions | 90.2 ± 0.0 | 70.2 ± 0.2 | 90.2 ± 0.1 | 22.0 ± 1.6 | 17.0 ± 1.6 |"
    assert row in text
    begins = "- *captions agree? (global), trained for captions only.* "
    (line,) = (line for line in text.splitlines() if line.startswith(begins))
    assert "The best layer knows more than the model says (+20.0" in line
    assert "At the threshold the two are not distinguishable" in line


def test_it_says_what_is_used_and_by_how_many_seeds(text):
    assert (
        "| captions agree? (global) | both | 2.0 ± 1.6 | 2.0 ± 1.6 | 82.0 ± 1.6 | 50.0 ± 45.2 | 2.0 ± 1.6 | 2.0" in text
    )
    begins = "- *captions agree? (global), trained for captions and questions.* Used in "
    assert f"{begins}block 3 (5 of 5 seeds), block 4 (3 of 5 seeds). Its probe reaches nine tenths" in text
    begins = "- *objects, with the category (local), trained for captions and questions.* "
    assert f"{begins}No seed is shown to use it in any block. Its probe" in text


def test_a_study_that_erases_nothing_has_no_section_of_it(text):
    table = planted()
    less = document(table[~table["what"].isin(["used", "taken"])])
    headings = [set(re.findall("^## (.*)$", each, flags=re.MULTILINE)) for each in (text, less)]
    assert headings[0] - headings[1] == {"Does the model use what it knows?"}


def test_the_table_is_small_sorted_and_tidy():
    table = read_findings(TABLE)
    assert TABLE.stat().st_size < 600_000
    assert not table.duplicated(COLUMNS[:-1]).any()
    assert table.equals(table.sort_values(COLUMNS[:-1], ignore_index=True))
    assert np.isfinite(table["value"]).all()


@pytest.mark.whole
def test_any_changed_number_of_the_models_changes_the_text():
    """Of the committed table, some numbers of each kind that the document shows."""
    table = read_findings(TABLE)
    text = document(table)
    shown = table[(table["what"] == "test") & (table["prompt"] != "")].groupby(["model", "objective", "task"]).tail(1)
    others = [table[table["what"] == what].index[0] for what in ("held-out", "kept")]
    for row in [*shown.index[:8:2], *others]:
        changed = table.copy()
        changed.loc[row, "value"] += 7.0
        assert document(changed) != text, table.loc[row].to_dict()


def test_templates_hold_no_measured_number():
    """Numbers outside of Jinja's tags: names of tables, labels and levels only."""
    allowed = {"Table 2", "Table 4", "Layer 0", "SNLI-VE, 3 labels", "95 %", ".j2"}
    for template in TEMPLATES.glob("*.j2"):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", template.read_text(), flags=re.DOTALL)
        for words in allowed:
            text = text.replace(words, "")
        assert not re.findall(r"\d+", text), f"{template.name}: {re.findall('.*[0-9].*', text)}"
        # In tags, only layers from the table, lists of names, and the half that guessing gives.
        numbers = set(re.findall(r"(?<![\w.\"])\d+\.?\d*(?![\w\"])", " ".join(tags(template))))
        assert numbers <= {"0", "0.0", "1", "2", "50.0", "100"}, numbers


def tags(template: Path) -> list[str]:
    """What is between Jinja's braces, without the text in quotes."""
    found = re.findall(r"\{%(.*?)%\}|\{\{(.*?)\}\}", template.read_text(), flags=re.DOTALL)
    return [re.sub(r'"[^"]*"', '""', "".join(tag)) for tag in found]


def raised(by: dict[int, float], model="trained", objective="both", task="objects", prompt="no-cue", kinds=("test",)):
    """Values that are planted anew: by layer, spread a little over seeds."""

    def change(what, of, obj, seed, of_task, of_prompt, layer):
        here = (of, obj, of_task, of_prompt) == (model, objective, task, prompt)
        return by[layer] + 0.1 * seed if here and what in kinds and layer in by else None

    return change


BOTH_SPLITS = ("test", "validation")


@pytest.mark.parametrize(
    ("change", "claims", "otherwise"),
    [
        (
            raised({2: 97.0}, kinds=BOTH_SPLITS),
            "*objects, without a cue (local).* The topmost block scores higher than block 1 (+26.7 points",
            "The best layer, chosen on validation, is better than the topmost block",
        ),
        (
            raised({6: 70.0}, model="untrained", objective="", task="count"),
            "the trained model scores higher than its twin",
            "the trained model scores lower than its twin",
        ),
        (
            raised({6: 55.0}, task="entailment", prompt="agree-text-only"),
            "Without the picture, all layers of all seeds are exactly at chance",
            "Without the picture, a probe of the topmost block still scores above chance",
        ),
        (
            raised({1: 90.0, 2: 90.0}, task="entailment", prompt="agree"),
            "Neither is shown to come first",
            "Agreement comes earlier",
        ),
        (
            raised({6: 99.0}, objective="captions", task="entailment", prompt="agree"),
            "it is not distinguishable from the one trained on both",
            "it scores higher than trained on both",
        ),
    ],
)
def test_conditions_switch_sentences(text, change, claims, otherwise):
    assert claims in text
    assert text.count(otherwise) < document(planted(change)).count(otherwise)


def test_a_rehearsal_is_called_one(text):
    short = planted(lambda what, *_: 2.0 if what == "steps" else None)
    assert "**This is a rehearsal**: the model was trained for 2.0 ± 0.0 % of its steps" in document(short)
    assert "rehearsal" not in text


def with_sequences(random_order: float = 50.0) -> pd.DataFrame:
    """The planted table with models that read sequences; they know the order from the fourth block on."""
    table, rows = planted(), []
    table = pd.concat([table, pd.DataFrame([("chance", "", "", 0, "first", "", 0, 50.0)], columns=COLUMNS)])
    for seed in SEEDS:
        rows.append(("held-out", "trained", "frames", seed, "first", "", 0, 96.0 + seed))
        for layer in range(7):
            known = {
                ("first", "happened"): 95.0 if layer > 3 else 50.0,
                ("objects", "category"): 90.0 if layer > 1 else 50.0,
            }
            known[("first", "happened-random-order")] = random_order
            for (task, prompt), value in known.items():
                for what in ("test", "validation"):
                    rows.append(
                        (what, "trained", "frames", seed, task, prompt, layer, value + 0.1 * seed * (value != 50))
                    )
    return pd.concat([table, pd.DataFrame(rows, columns=COLUMNS)], ignore_index=True)


def test_it_says_where_sequences_are_known_and_what_their_order_tells(text):
    assert "## Pictures in time" not in text
    told = document(with_sequences())
    assert "| first | 98.0 ± 1.6 |" in told
    assert "*which of two changed first* reaches nine tenths of its best score above chance in layer 4.0 ± 0.0." in told
    assert "Beside *objects in one picture, with the category* (layer 2.0 ± 0.0): later (+2.0 layers" in told
    begins = "- *which of two changed first, frames in random order.* At the top "
    assert f"{begins}not distinguishable from chance" in told
    assert f"{begins}above chance (+10" in document(with_sequences(60.0))
    # The rest of the document is about the other models.
    kept = [
        line for line in text.splitlines() if "comparisons were made" not in line and not line.startswith("Chance:")
    ]
    assert set(kept) <= set(told.splitlines())


def with_places(projector: float = 99.0, lens_of_twin: float = 40.0) -> pd.DataFrame:
    """The planted table with scores in the tower, at further positions, and of the output head at image tokens."""
    rows = []
    for seed in SEEDS:
        for model, objective, added in (("trained", "both", 0.1 * seed), ("untrained", "", -20 + 0.1 * seed)):
            key = model, objective, seed
            for part, layer, value in [
                *(("tower patch-mean", block, 80.0 + block) for block in range(3)),
                ("projector image-mean", 0, projector),
                *(("decoder image-mean", block, 97.0) for block in range(1, 7)),
            ]:
                # Even in the last place, a spread that the difference keeps.
                rows.append(("along", *key, "objects", part, layer, value + added * (1 + layer)))
            for layer in range(7):
                for position, value in (("object-mean", 95.0), ("last", 60.0)):
                    rows.append(
                        ("at", *key, "asked-colour", f"category at {position}", layer, value + added * (value > 90))
                    )
                reached = 80.0 if model == "trained" and layer in (2, 3) else lens_of_twin
                for what, value in (("", reached), (", shuffled", 40.0), (", other_object", 30.0)):
                    of_seed = 0.1 * seed * (what == "")
                    rows.append(("lens", *key, "objects", f"pointing{what}", layer, value + of_seed))
                    rows.append(("lens", *key, "objects", f"roc_auc{what}", layer, 50.0))
    return pd.concat([planted(), pd.DataFrame(rows, columns=COLUMNS)], ignore_index=True)


def test_it_says_where_on_the_way_at_which_token_and_patch(text):
    sections = {"On the way from the pixels", "At which token", "Where the output head names the objects"}
    assert not sections & set(re.findall("^## (.*)$", text, flags=re.MULTILINE))
    told = document(with_places(), "where.md.j2")
    assert sections <= set(re.findall("^## (.*)$", told, flags=re.MULTILINE))
    (heading,) = (line for line in told.splitlines() if line.startswith("| task | model | vision block 0 |"))
    (row,) = (line for line in told.splitlines() if line.startswith("| objects | trained | 80.2"))
    assert heading.count("|") == row.count("|")
    assert heading.split("|")[6].strip() == "projector"
    assert row.split("|")[6].strip().startswith("99.2")
    assert "Behind the projector the score is higher than in the last vision block (+16.6 points" in told
    assert "Behind the projector the score is lower" in document(with_places(projector=70.0), "where.md.j2")
    assert "*colour of the asked-for shape, category at object-mean.* In the topmost block higher than" in told
    over = "More than with shuffled boxes in {}; more than with other objects in {}."
    every = "layers 0, 1, 2, 3, 4, 5, 6"
    assert f"- *Trained, pointing.* {over.format('layers 2, 3', every)}" in told
    assert f"- *Untrained, pointing.* {over.format('no layer', every)}" in told
    assert f"- *Untrained, pointing.* {over.format(every, every)}" in document(
        with_places(lens_of_twin=60.0), "where.md.j2"
    )


@pytest.mark.parametrize(("shift", "apart"), [(0.0, False), (1.0, True)])
def test_it_says_when_places_are_of_other_trainings(shift, apart):
    table = with_places()
    scores = table[(table["what"] == "at") & (table["prompt"] == "category at object-mean")]
    here = scores.assign(task="colours", prompt="category at last", value=scores["value"] + shift)
    there = scores.assign(task="colours", what="test", prompt="category")
    told = document(pd.concat([table, here, there], ignore_index=True), "where.md.j2")
    assert ("other trainings with the same seeds" in told) == apart


def test_a_claim_needs_every_seed_and_its_interval():
    def difference(*values):
        return Difference(pd.Series(values, dtype=float))

    assert difference(1, 2, 1, 2, 1).more
    assert difference(-1, -2, -1, -2, -1).less
    # One seed the other way; all the same way, but an interval that holds 0; none, or one, is not enough.
    assert not difference(1, 2, 1, 2, -0.1).more
    assert not difference(0.1, 9, 0.1, 0.2, 0.1).more
    assert not difference(3).more
    assert not difference().more
    assert difference(0, 0, 0).nothing
    # Against the textbook: mean 3, standard deviation 1.58, t(4) = 2.776.
    low, high = difference(1, 2, 3, 4, 5).interval
    assert (low, high) == pytest.approx((3 - 1.963, 3 + 1.963), abs=0.001)
    assert str(difference(1, 2, 3, 4, 5)) == "+3.0 points [1.0, 5.0], higher in 5 of 5 seeds"
    assert difference(1, 2, 3, 4, 5).at_most == "5.0"
    assert str(difference(-0.01, 0.01)).startswith("0.0 points")


def test_samples_are_means_with_their_spread():
    assert str(Sample(pd.Series([1.0, 2.0, 3.0]))) == "2.0 ± 1.0"
    assert str(Sample(pd.Series([-0.01]))) == "0.0"
    assert str(Sample(pd.Series([], dtype=float))) == "–"


def test_the_best_layer_is_chosen_on_validation_and_scored_on_test():
    change = raised({2: 99.0}, kinds=("validation",))
    best = Findings(planted(change)).best("objects", "no-cue").by_seed
    test = Findings(planted()).score("objects", "no-cue", 2).by_seed
    assert best.tolist() == test.tolist()


def test_a_layer_that_rises_is_the_first_with_nine_tenths():
    change = raised({0: 50.0, 1: 80.0, 2: 87.0, 3: 90.0, 4: 90.0, 5: 90.0, 6: 90.0})
    assert Findings(planted(change)).rises_at("objects", "no-cue").by_seed.tolist() == [2.0] * 5


def test_what_is_not_there_is_an_error_and_no_section(text):
    table = planted()
    with pytest.raises(InputError, match="no single number by seed and layer of test, trained, both, objects, other"):
        Findings(table).score("objects", "other", 1)
    less = table[(table["what"] != "flow") & (table["what"] != "kept") & (table["model"] != "cut-image lower")]
    headings = re.findall("^## (.*)$", document(less), flags=re.MULTILINE)
    assert set(re.findall("^## (.*)$", text, flags=re.MULTILINE)) - set(headings) == {
        "The image hidden from a third of the blocks",
        "Which attention its answers need",
    }


def test_the_objectives_have_a_document_of_their_own():
    text = document(planted(), "objectives-alone.md.j2")
    assert "| captions agree? (global) | captions |" in text
    assert "5 trainings for each objective" in text


def study(name: str) -> Study:
    return Study.load(REPOSITORY / f"config/{name}.yaml")


def test_the_findings_contain_the_objectives():
    """So that they share a results root, and nothing is trained, run or probed twice."""
    less, more = study("objectives"), study("findings")
    narrower, wider = less.grid, more.grid
    assert less.results == more.results
    assert less.config.probes == more.config.probes
    # Besides, it has those that read sequences.
    assert less.config.embedded_models.items() < more.config.embedded_models.items()
    assert set(narrower.probe_cells()) < set(wider.probe_cells())
    for cell in narrower.states_cells():
        assert less.model_folder(cell.model) == more.model_folder(cell.model)
        assert less.stimuli_folder(cell.stimuli) == more.stimuli_folder(cell.stimuli)
        assert narrower.planned(*cell) == wider.planned(*cell)
    for task, entry in less.config.tasks.items():
        # Further positions are read and probed beside the others.
        assert entry == more.config.tasks[task].model_copy(update={"positions": entry.positions})


def test_each_objective_and_each_change_has_five_seeds():
    config = study("findings").config
    groups: dict[str, list[int]] = {}
    for model in config.models:
        group, objective, seed = about(config, model)
        groups.setdefault(f"{group} {objective}".strip(), []).append(seed)
    cuts = [f"cut-image {third} both" for third in ("lower", "middle", "upper")]
    assert groups == {
        name: list(SEEDS) for name in ("trained both", "trained captions", "trained questions", "trained frames", *cuts)
    } | {"untrained": 2 * list(SEEDS)}  # of the model that reads sequences, too


def test_the_program_says_what_is_wrong_with_a_table(tmp_path):
    (tmp_path / "f.csv").write_text("what,value\ntest,1\n")
    done = subprocess.run(
        [
            sys.executable,
            REPOSITORY / "scripts/make_findings.py",
            "--csv",
            tmp_path / "f.csv",
            "--out",
            tmp_path / "f.md",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "must have the columns what, model" in done.stderr
    assert not (tmp_path / "f.md").exists()
