"""What is refused when a study of stimuli with several pictures is planned."""

import pytest

from layerwise.errors import InputError
from layerwise.study import Study

TEXT = "{text} Is the first warm?"


@pytest.fixture
def pairs(tmp_path) -> dict:
    """A study of a table whose rows have two pictures, with prompts that show both, one or none of them."""
    (tmp_path / "pairs.csv").write_text("left,right,said,warm\na.png,b.png,Hm.,yes\nb.png,a.png,Hm.,no\n")
    shows = {"both": {}, "swapped": {"images": [2, 1]}, "one": {"images": [1, "none"]}, "text-only": {"image": "none"}}
    return {
        "seed": 1,
        "prompts": {"table": {name: {"text": TEXT, **shown} for name, shown in shows.items()}},
        "stimuli": {
            "pairs": {
                "kind": "table",
                "file": str(tmp_path / "pairs.csv"),
                "image_column": ["left", "right"],
                "text_column": "said",
                "labels": ["warm"],
                "prompts": list(shows),
            }
        },
        "tasks": {"warm": {"stimuli": "pairs", "question": "global", "labels": ["warm"]}},
        "models": {"plain": {"source": "lab/plain"}},
    }


def refusal(config: dict, **entry) -> str:
    with pytest.raises(InputError) as refused:
        Study.from_config(config | {"models": config["models"] | {"other": {"source": "lab/plain", **entry}}})
    return str(refused.value)


def plan(config: dict, **entry) -> Study:
    return Study.from_config(config | {"models": config["models"] | {"other": {"source": "lab/plain", **entry}}})


def test_a_model_that_takes_one_picture_is_refused_where_two_are_shown(pairs):
    said = refusal(pairs, adapter="kosmos2", source="lab/kosmos")
    assert said.startswith(
        "models.other: the prompt both of stimuli.pairs shows 2 pictures, and models with the adapter"
    )
    assert "adapter kosmos2 take one: its processor puts one picture before every text; leave the model out" in said
    plan(pairs, adapter="kosmos2", source="lab/kosmos", prompts=["one"])
    # The type of a model of the hub is known when it is registered.
    plan(pairs, source="lab/any")


def test_a_model_in_a_local_folder_is_refused_by_its_type(pairs, tmp_path):
    for model_type in ("blip-2", "llava"):
        (tmp_path / model_type).mkdir()
        (tmp_path / model_type / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    said = refusal(pairs, source=str(tmp_path / "blip-2"))
    assert f"shows 2 pictures, and the model in {tmp_path / 'blip-2'} takes one: its processor puts one" in said
    assert "(models.other.tasks), or name the prompts that show one picture in models.other.prompts" in said
    plan(pairs, source=str(tmp_path / "blip-2"), prompts=["one"])
    plan(pairs, source=str(tmp_path / "llava"))


def test_an_intervention_is_about_a_picture_that_is_shown(pairs):
    def about(number, kind="cut-image"):
        how = {"blocks": "upper"} if kind == "cut-image" else {"from": 2}
        return {kind: how | {"image": number}}

    plan(pairs, intervention=about(2), prompts=["both", "swapped"])
    plan(pairs, intervention=about(1), prompts=["both", "one"])
    said = refusal(pairs, intervention=about(2), prompts=["both", "one"])
    assert said.startswith(
        "models.other.intervention.cut-image.image: the prompt one of stimuli.pairs shows one picture"
    )
    assert "there is no picture 2 to change; name the other prompts in models.other.prompts" in said
    assert "shows 2 pictures, so that there is no picture 3" in refusal(pairs, intervention=about(3, "ablate-image"))
