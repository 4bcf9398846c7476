"""The schema: defaults, rejections, and that it describes every key."""

import copy
import datetime
import math
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from layerwise.config.reading import read_config, validate
from layerwise.config.schema import schema_text
from layerwise.errors import InputError
from layerwise.study import Study

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "config/schemas/config.schema.yaml"
TABLE = {"kind": "table", "file": "mine.csv", "prompts": ["look"]}
RELATIONS = {"kind": "coco-relations", "dataset": "shapes-coco", "images": {"val2017": "all"}, "prompts": ["where"]}


REFUSED = [
    (
        lambda c: c["models"]["shapes-llava"].update(revision=None),
        "models.shapes-llava.revision: has no value; give it one, or leave the key out",
    ),
    (lambda c: c.update(seed="1"), "seed: must be a whole number of at least 0, not '1'"),
    (lambda c: c.update(tasks=[]), "tasks: must be keys and values; found \\[\\]"),
    (
        lambda c: c.update(states={"keep": "no"}),
        "states.keep: must be true or false; found 'no'",
    ),
    (
        lambda c: c["stimuli"]["captions"].update(kind="captions"),
        "stimuli.captions.kind: 'captions' is not one of coco-entailment, snli-ve",
    ),
    (lambda c: c["stimuli"]["captions"].pop("kind"), "stimuli.captions: the key 'kind' is missing"),
    (
        lambda c: c["stimuli"]["captions"].update(mismatch="colour"),
        "stimuli.captions.mismatch: must be one of random, hard, attribute, adjective, relation, number, noun, not",
    ),
    (
        lambda c: c["stimuli"]["captions"].update(images={"train2017": 0}),
        "stimuli.captions.images.train2017: must be a whole number of at least 1, or the word all, not 0",
    ),
    (
        lambda c: c["stimuli"]["captions"].update(prompts=["agree"] * 2),
        "stimuli.captions.prompts: 'agree' is there twice",
    ),
    (lambda c: c["datasets"]["shapes-coco"].update(images="x"), "datasets.shapes-coco: give either `world`, or both"),
    (lambda c: c.update(seedd=1), "top level: unknown key 'seedd'; did you mean 'seed'"),
    (
        lambda c: c["models"]["shapes-llava"].update(dtyp="float32"),
        r"models.shapes-llava: unknown key 'dtyp'; did you mean 'dtype'\?; known keys: source, .*dtype",
    ),
    (
        lambda c: c["stimuli"]["captions"].update(mismatc="hard"),
        r"captions: unknown key 'mismatc'; did you mean 'mismatch'\?; known keys of the kind coco-entailment: kind",
    ),
    (
        lambda c: c["stimuli"].update(mine=TABLE | {"labels": {"wet": {"clases": {}}}}),
        r"mine.labels.wet: unknown key 'clases'; did you mean 'classes'\?; known keys of the kind label column: column",
    ),
    (
        lambda c: c["stimuli"].update(mine=TABLE | {"labels": {"wet": {"as": "text"}}}),
        "mine.labels.wet.as: 'text' is not one of number",
    ),
    (
        lambda c: c["stimuli"].update(mine=TABLE | {"labels": {"wet": None}}),
        "mine.labels.wet: has no value; give it one",
    ),
    (
        lambda c: c["stimuli"].update(mine=TABLE | {"labels": {"wet": {"unit": "mm"}}}),
        "mine.labels.wet: a class has no `unit`; add `as: number`",
    ),
    (lambda c: c["stimuli"].update(mine=TABLE | {"labels": "wet"}), "mine.labels: must be a list; found 'wet'"),
    (lambda c: c["stimuli"].update(mine=TABLE | {"labels": {}}), "mine.labels: must have at least one entry"),
    (
        lambda c: c["stimuli"]["captions"].update(kind=None),
        "stimuli.captions.kind: has no value; give it one, or leave the key out",
    ),
    (lambda c: c["stimuli"]["captions"].update(kind=["x"]), r"stimuli.captions.kind: \['x'\] is not one of coco-ent"),
    (lambda c: c["tasks"]["objects"].update(question=None), "tasks.objects.question: has no value; give it one"),
    (lambda c: c["models"]["shapes-llava"].update(source=""), "llava.source: must be text that is not empty, not ''"),
    (lambda c: c["stimuli"]["captions"].update(pairs_per_category=3), r"stimuli.captions: .*pairs_per_category"),
    (lambda c: c["tasks"]["objects"].pop("question"), "tasks.objects: the key 'question' is missing"),
    (
        lambda c: c["models"].update({"a/b": {"source": "embedded"}}),
        "models: the name 'a/b' must be a name that file names",
    ),
    (lambda c: c.update(probes={"C": [0]}), "probes.C.0: must be a number above 0, not 0"),
    (lambda c: c["datasets"].update(x={"format": "coco"}), "datasets.x: give either `world`, or both"),
    (lambda c: c["prompts"].update(kind={}), "prompts: the name 'kind' must be one of coco-entailment"),
    (
        lambda c: c.update(adapters={"lavit": {"upstream": {"repository": "/x", "commit": "main"}}}),
        r"adapters.lavit.upstream.commit: must be a commit: all forty digits, not 'main'",
    ),
    (
        lambda c: c.update(adapters={"lavit": {"environment": "new"}}),
        "adapters.lavit.environment: 'new' is not one of layerwise, legacy",
    ),
    (
        lambda c: c["models"]["shapes-llava"].update(quantization="2bit"),
        "models.shapes-llava.quantization: '2bit' is not one of none, 8bit, 4bit",
    ),
    (
        lambda c: c["models"]["shapes-llava"].update(device_map="everywhere", cards=1),
        "models.shapes-llava.device_map: must be one of auto",
    ),
    (
        lambda c: c["models"]["shapes-llava"].update(device_map="auto"),
        "models.shapes-llava: `device_map` spreads a model over several cards; say how many",
    ),
    (
        lambda c: c["models"]["shapes-llava"].update(shards=0),
        "llava.shards: must be a whole number from 1 to 9999, not 0",
    ),
    (
        lambda c: c["models"]["shapes-llava"].update(convert={"a.pt": "beef"}),
        "convert.a.pt: must be a SHA-256 checksum",
    ),
    (
        lambda c: c["models"]["shapes-llava"].update(convert={"../a.pt": "0" * 64}),
        "convert: the name '../a.pt' must be the path",
    ),
    (
        lambda c: c["tasks"]["objects"].update(knowledge={"about": "count"}),
        "objects.knowledge: must have either `bins` or `as: number`",
    ),
    (
        lambda c: c["tasks"]["objects"].update(knowledge={"about": "count", "bins": 2, "as": "number"}),
        "objects.knowledge: must have either `bins` or `as: number`",
    ),
    (
        lambda c: c["tasks"]["objects"].update(knowledge={"about": "left-right", "bins": 2}),
        r"objects.knowledge: unknown key 'bins'; known keys of the kind left-right: about, margin",
    ),
]


def test_the_demo_is_valid_and_gets_defaults(study):
    config = validate(study).entry()
    kept = {"positions": ["last"], "dtype": "float32", "sites": ["block"], "sites_of": {}, "keep": True}
    assert config["states"] == kept
    assert config["tasks"]["objects"]["min_per_class"] == 5
    assert config["tasks"]["objects"]["split"] == {"by": "official", "val": 0.2, "test": 0.25}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, r"cannot be read \(No such file or directory\)"),
        (b"models: [", "not YAML"),
        (b"models: \xff", "not YAML"),
        (b"- models", "must hold keys and values such as `models:`, found list"),
        (b"", "found NoneType"),
    ],
)
def test_a_config_that_cannot_be_read_is_one_line_that_names_it(tmp_path, content, says):
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"study\.yaml: .*{says}") as error:
        read_config(path)
    assert "\n" not in str(error.value)


def test_the_old_key_of_the_embedded_model_says_what_to_write(study):
    with pytest.raises(InputError, match=r"write `embedded_models: \{shapes: \{steps_scale: 0.5\}\}`"):
        Study.from_config(study | {"embedded_model": {"steps_scale": 0.5}})


def test_what_adapters_need_is_valid_and_about_adapters(study):
    needs = yaml.safe_load((ROOT / "config/adapters.yaml").read_text())
    config = validate(study | needs)
    assert config.adapters["lavit"].upstream.folder == "LaVIT"
    assert config.adapters["qwen_vl"].entry() == {"environment": "legacy"}
    for name in needs["adapters"]:
        assert (ROOT / f"scripts/layerwise/models/adapters/{name}.py").is_file()


def test_defaults_are_not_shared_between_configs(study):
    validate(study).states.positions.append("image-mean")
    assert validate(study).states.positions == ["last"]


def test_p_values_near_the_level_are_known_to_two_thousandths():
    """By the standard error of a share of 5 % among as many swaps as the config lets a study draw."""
    permutations = yaml.safe_load(SCHEMA.read_text())["$defs"]["Probes"]["properties"]["permutations"]
    for n in (permutations["minimum"], permutations["default"]):
        assert (0.05 * 0.95 / n) ** 0.5 < 0.002


def test_the_schema_is_that_of_the_classes_and_describes_every_key():
    assert SCHEMA.read_text() == schema_text(), "run make schema"
    schema = yaml.safe_load(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, section in [("", schema), *schema["$defs"].items()]:
        for key, value in section["properties"].items():
            assert "description" in value or "$ref" in value, f"{name}.{key} has no description"
        assert section["description"]


def test_the_schema_takes_and_refuses_what_reading_does(study):
    """As far as a schema can say it: editors complain of the same keys."""
    schema = jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text()))
    assert not list(schema.iter_errors(study))
    for change, _ in REFUSED:
        changed = copy.deepcopy(study)
        change(changed)
        assert list(schema.iter_errors(changed))


@pytest.mark.parametrize(("change", "complaint"), REFUSED)
def test_what_is_refused_by_itself(study, change, complaint):
    change(study)
    with pytest.raises(InputError, match=complaint):
        Study.from_config(study)


@pytest.mark.parametrize("key", [True, None, 1, 1.5, datetime.date(2024, 1, 1)])
def test_keys_that_are_no_text_are_named(study, key):
    """YAML reads `yes:`, `on:`, `1:` and an empty key as something else than text, at any depth."""
    study["prompts"]["table"] = {key: {"text": "?"}}
    with pytest.raises(InputError, match=rf"prompts.table: YAML reads the key {re.escape(repr(key))} as .* quotes"):
        Study.from_config(study)
    with pytest.raises(InputError, match="top level: YAML reads the key"):
        validate({key: 1})


@pytest.mark.parametrize("value", [math.nan, math.inf, datetime.date(2024, 1, 1), b"x", {"a"}])
def test_values_that_json_does_not_know_are_named(study, value):
    study["probes"] = {"C": [1.0, value]}
    with pytest.raises(InputError, match=r"probes\.C\.1: "):
        Study.from_config(study)


def test_a_table_with_wrong_columns_stops_the_plan(study, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("image,wet,text\n")
    own = {"kind": "table", "file": str(file), "labels": ["wet"], "prompts": ["plain"], "text_column": "text"}
    study["stimuli"]["own"] = own
    Study.from_config(study)
    for change, column in [
        ({"labels": ["dry"]}, "dry"),
        ({"text_column": "words"}, "words"),
        ({"id_column": "n"}, "n"),
        ({"split_column": ""}, ""),
    ]:
        study["stimuli"]["own"] = own | change
        with pytest.raises(
            InputError, match=rf"mine.csv: there is no column '{column}'; it has 'image', 'wet', 'text'"
        ):
            Study.from_config(study)


def test_a_text_column_that_no_prompt_shows_is_warned_of(study, tmp_path):
    (tmp_path / "mine.csv").write_text("image,wet,text\n")
    own = {"kind": "table", "file": str(tmp_path / "mine.csv"), "labels": ["wet"], "text_column": "text"}
    study["prompts"]["table"]["look"] = {"text": "Look."}
    study["stimuli"]["own"] = own | {"prompts": ["look"]}
    study["tasks"]["wet"] = {"stimuli": "own", "question": "local"}
    assert Study.from_config(study).notes == [
        "The config: stimuli.own.text_column: none of its prompts shows {text}, so models see the image alone."
    ]
    study["stimuli"]["own"]["prompts"].append("plain")
    assert Study.from_config(study).notes == []


def test_all_mistakes_are_shown_at_once(study):
    study["sed"] = 1
    study["tasks"]["objects"].pop("question")
    with pytest.raises(InputError) as error:
        Study.from_config(study)
    assert "sed" in str(error.value)
    assert "question" in str(error.value)


def asked(config: dict) -> dict:
    """A prompt with answers."""
    return config["prompts"]["coco-objects"]["category"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda c: c["stimuli"]["captions"].update(prompts=["nope"]),
            "there is no 'nope'; prompts.coco-entailment has agree",
        ),
        (lambda c: c["stimuli"]["captions"].update(dataset="nope"), "stimuli.captions.dataset: there is no 'nope'"),
        (
            lambda c: c["stimuli"]["captions"].update(mismatch="noun", captions_per_image=2),
            "captions.captions_per_image: `mismatch: noun` shows statements, one for each image",
        ),
        (
            lambda c: c["stimuli"]["captions"].update(mismatch="noun", margin=0.2),
            "captions.margin: only `mismatch: relation` has one, not noun",
        ),
        (
            lambda c: c["stimuli"]["captions"].update(mismatch="noun", images={"val2017": 1}),
            "captions.images.val2017: a pair takes two images",
        ),
        (lambda c: c["stimuli"]["captions"].update(dataset="shapes-snli-ve"), "reads data sets of format coco"),
        (lambda c: c["tasks"]["objects"].update(stimuli="nope"), "tasks.objects.stimuli: there is no 'nope'"),
        (lambda c: c["datasets"]["shapes-coco"].update(world="nope"), "datasets.shapes-coco.world"),
        (
            lambda c: c["datasets"].update(d={"format": "coco", "images": "/no", "annotations": "/no"}),
            "no folder '/no'",
        ),
        (lambda c: c["prompts"]["coco-entailment"]["agree"].update(text="Hm?"), r"agree: the prompt needs \{text\}"),
        (
            lambda c: c["prompts"]["coco-objects"]["category"].update(text="{caption}"),
            r"unknown placeholder \{caption\}",
        ),
        (
            lambda c: c["prompts"]["coco-objects"]["category"].update(text="{category} {categories}"),
            "two different cues",
        ),
        (lambda c: c["prompts"]["coco-objects"]["category"].update(categories=["star"]), r"has no \{categories\}"),
        (lambda c: asked(c).update(answers={"present": ["yes"]}), "category.answers: give words for two classes"),
        (
            lambda c: asked(c).update(answers={"present": ["yes"], "gone": ["no"]}),
            "there is no class 'gone'; stimuli.objects has absent, present",
        ),
        (
            lambda c: asked(c).update(answers={"present": ["yes", "No"], "absent": ["no"]}),
            "'no' says both present and absent",
        ),
        (lambda c: asked(c).update(answers={"present": [" "], "absent": ["no"]}), "an answer of blanks says nothing"),
        (
            lambda c: asked(c).update(answers={"present": ["a {category}"], "absent": ["no"]}),
            "words with placeholders can only be found in what the model writes; add `generate`",
        ),
        (lambda c: asked(c).update(answers={"present": ["yes"], "absent": []}), "a class without words can only"),
        (
            lambda c: asked(c).update(answers={"present": [], "absent": []}, generate=5),
            "present and absent have no words; only one class",
        ),
        (
            lambda c: asked(c).update(answers={"present": ["{text}"], "absent": []}, generate=5),
            r"unknown placeholder \{text\}; answers may hold \{category\}",
        ),
        (lambda c: asked(c).update(generate=5) or asked(c).pop("answers"), "category.generate: there are no `answers`"),
        (lambda c: c["models"].update(m={"source": "not a model"}), "neither an existing folder"),
        (
            lambda c: c.update(
                adapters={"lavit": {"environment": "legacy"}},
                embedded_models={},
                models={"m": {"source": "a/b", "adapter": "lavit"}},
            ),
            "captions.prompts: agree-text-only shows no image, but the adapter lavit of models.m reads no text without",
        ),
        (lambda c: c["models"].update(m={"source": "embedded", "revision": "main"}), "only a Hugging Face id"),
        (
            lambda c: c["models"].update(m={"source": "a/b", "conversation": "{prompt}"}),
            "must hold <image> exactly once",
        ),
        (
            lambda c: c["models"].update(m={"source": "a/b", "revision": "main", "trust_remote_code": True}),
            "m.trust_remote_code: code from the hub runs only from a commit",
        ),
        (
            lambda c: c["models"].update(m={"source": "a/b", "trust_remote_code": True}),
            "give its 40 digits as `revision`",
        ),
        (
            lambda c: c["models"].update(m={"source": "a/b", "weights": "random", "quantization": "8bit"}),
            "m.quantization: a model with random weights has none to load",
        ),
        (
            lambda c: c["models"].update(m={"source": "a/b", "weights": "random", "convert": {"a.pt": "0" * 64}}),
            "m.convert: a model with random weights has none to load",
        ),
        (
            lambda c: c["embedded_models"].update(b={}),
            "models.shapes-llava: say which .* embedded_models has shapes, b",
        ),
        (lambda c: c["embedded_models"].clear(), "models.shapes-llava: .* write `embedded_models: {shapes: {}}`"),
        (
            lambda c: c["models"].update(m={"source": "embedded", "embedded": "shape"}),
            "m.embedded: there is no 'shape'",
        ),
        (
            lambda c: (
                c["embedded_models"].update(b={}),
                [entry.update(embedded="shapes") for entry in c["models"].values()],
            ),
            "embedded_models.b: no model uses it",
        ),
        (lambda c: c["models"].update(m={"source": "a/b", "embedded": "shapes"}), "m.embedded: only with `source"),
        (lambda c: c["models"].update(m={"source": "a/b", "seed": 1}), "m.seed: it draws random weights"),
        (
            lambda c: c["models"].update(m={"source": "embedded", "convert": {"a.pt": "0" * 64}}),
            "m.convert: the embedded model is saved as safetensors",
        ),
        (lambda c: c["tasks"]["objects"].update(split={"val": 0.5, "test": 0.5}), "leave nothing to train on"),
        (
            lambda c: c["tasks"]["objects"].update(split={"unseen_texts": 0.3}),
            "tasks.objects.split.unseen_texts: each category of coco-objects is a label of its own with one text",
        ),
        (
            lambda c: c["tasks"]["objects"].update(
                knowledge={"about": "count", "as": "number"}, metric="r2", split={"unseen_texts": 0.3}
            ),
            "tasks.objects.split.unseen_texts: parts of the test set are scored for classes alone",
        ),
        (
            lambda c: c["tasks"]["entailment"].update(split={"unseen_texts": 1}),
            "tasks.entailment.split.unseen_texts: ",
        ),
        (
            lambda c: c["tasks"]["snli-ve"].update(knowledge={"about": "left-right"}),
            "tasks.snli-ve.knowledge: stimuli.hypotheses is snli-ve, which has no annotated objects",
        ),
        (
            lambda c: c["tasks"]["objects"].update(metric="r2"),
            "tasks.objects.metric: r2 is for numbers, and this task has classes; take accuracy, ",
        ),
        (
            lambda c: c["tasks"]["objects"].update(knowledge={"about": "count", "as": "number"}),
            "tasks.objects.metric: the labels are numbers; write `metric: r2`",
        ),
        (
            lambda c: c["tasks"]["objects"].update(
                knowledge={"about": "asked-centre"}, metric="r2", split={"seeds": [1]}
            ),
            "tasks.objects.split.seeds: numbers are read under one split",
        ),
        (
            lambda c: c["tasks"]["objects"].update(
                knowledge={"about": "asked-centre"}, metric="r2", classes=["absent", "present"]
            ),
            "tasks.objects.classes: the labels are numbers",
        ),
        (
            lambda c: c["tasks"]["entailment"].update(knowledge={"about": "asked-centre"}, metric="r2"),
            "tasks.entailment.knowledge: asked-centre needs items that ask for a category",
        ),
        (
            lambda c: c["stimuli"]["hypotheses"].update(prompts=["premise"]),
            r"prompts.snli-ve.premise: the prompt has \{premise\}; add `premise: true` to its stimulus set",
        ),
        (
            lambda c: c["tasks"]["entailment"].update(knowledge={"about": "asked-attribute", "attribute": "colour"}),
            "tasks.entailment.knowledge: asked-attribute needs items that ask for a category",
        ),
        (
            lambda c: c["stimuli"].update(captions=RELATIONS),
            "tasks.entailment.labels: name one relation, left-right or",
        ),
        (
            lambda c: (
                c["stimuli"].update(captions=RELATIONS),
                c["prompts"]["coco-relations"]["where"].update(text="Where is the {first}?"),
            ),
            r"prompts.coco-relations.where: the prompt needs \{second\}",
        ),
    ],
)
def test_what_the_grid_refuses(study, change, complaint):
    change(study)
    with pytest.raises(InputError, match=complaint):
        Study.from_config(study)


def test_code_from_the_hub_may_run_from_a_commit_and_from_a_folder(study, tmp_path):
    for entry in ({"source": "a/b", "revision": "0a" * 20}, {"source": str(tmp_path)}):
        study["models"]["m"] = entry | {"trust_remote_code": True}
        Study.from_config(study)


def test_missing_annotation_file_is_named(study, world):
    folder = world / "coco"
    assert folder.is_dir()
    study["datasets"]["mine"] = {"format": "coco", "images": str(folder), "annotations": str(folder / "annotations")}
    study["stimuli"]["captions"] |= {"dataset": "mine", "images": {"test2017": "all"}}
    with pytest.raises(InputError, match=r"instances_test2017\.json"):
        Study.from_config(study)


def test_answers_are_read_where_the_last_token_is_kept_and_words_are_plain(study):
    cells = Study.from_config(study).grid.answers_cells()
    assert ("shapes-llava", "objects", "category") in cells
    assert {cell.model for cell in cells} == {"shapes-llava"}
    asked(study).update(answers={"present": ["{category}"], "absent": []}, generate=5)
    grid = Study.from_config(study).grid
    assert [*grid.answers_cells(), ("shapes-llava", "objects", "category")] == cells
    assert grid.generated_cells() == [("shapes-llava", "objects", "category")]
    study["states"] = {"positions": ["image-mean"]}
    study["stimuli"]["captions"]["prompts"] = ["agree"]
    study["stimuli"]["hypotheses"]["prompts"] = ["statement"]
    without = Study.from_config(study)
    assert without.grid.answers_cells() == []
    assert "add last to states.positions" in "".join(without.notes)


def test_cells(study):
    grid = Study.from_config(study).grid
    # The untrained twin has one prompt of each question about texts, and all of objects.
    assert len(grid.states_cells()) == (3 + 3 + 3) + (1 + 1 + 3)
    assert len(grid.probe_cells()) == (3 + 3 + 3 + 3) + (1 + 1 + 1 + 3)
    study["tasks"] = {"objects": study["tasks"]["objects"]}
    assert {cell.stimuli for cell in Study.from_config(study).grid.states_cells()} == {"objects"}


def test_tasks_about_numbers_have_cells_of_their_own(study):
    before = Study.from_config(study).grid
    study["tasks"]["area"] = {"stimuli": "objects", "question": "local", "metric": "r2"}
    study["tasks"]["area"]["knowledge"] = {"about": "largest-size", "as": "number"}
    grid = Study.from_config(study).grid
    assert (grid.probe_cells(), grid.site_cells()) == (before.probe_cells(), before.site_cells())
    assert (grid.said_cells(), grid.tasks_about("local")) == (before.said_cells(), before.tasks_about("local"))
    assert [cell.task for cell in grid.number_cells()] == ["area"] * 6
    assert (before.number_cells(), grid.number_tasks(), "area" in grid.class_tasks()) == ([], ["area"], False)
    # Alone, it still needs hidden states.
    study["tasks"] = {"area": study["tasks"]["area"]}
    alone = Study.from_config(study).grid
    assert (alone.probe_cells(), len(alone.states_cells())) == ([], 6)


@pytest.mark.parametrize("copies", [2, 40])
def test_one_mistake_in_many_entries_is_one_line(study, copies):
    """As an anchor of YAML puts it into all of them."""
    wrong = study["models"]["shapes-llava"] | {"dtyp": "float32"}
    study["models"] |= {f"copy-{place:02}": wrong for place in range(copies)}
    with pytest.raises(InputError) as refused:
        Study.from_config(study)
    _, *lines = str(refused.value).splitlines()
    assert len(lines) == (1 if copies > 3 else copies)
    assert lines[0].startswith("  models.copy-00: unknown key 'dtyp'; did you mean 'dtype'?")
    assert lines[0].endswith(" (and in 39 other places)") == (copies > 3)
