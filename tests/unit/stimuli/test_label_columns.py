import pytest
from pydantic import TypeAdapter, ValidationError

from layerwise.errors import InputError
from layerwise.stimuli.label_columns import LabelColumn, Labels, labels_of, read_label

YES_NO = {"classes": {"Yes": "present", "no": "absent"}}


@pytest.mark.parametrize(
    ("entry", "cell", "label"),
    [
        ({}, " left of ", "left of"),
        ({}, 3, "3"),
        ({}, True, "true"),
        ({}, "None", "None"),
        (YES_NO, " yes ", "present"),
        (YES_NO, "NO", "absent"),
        ({"classes": {"0": "absent", "1": "present"}}, 1, "present"),
        # A column of whole numbers with a gap is one of floats.
        ({}, 3.0, "3"),
        ({}, 2.5, "2.5"),
        ({"classes": {"0": "absent", "1": "present"}}, 1.0, "present"),
        ({"classes": {"0.0": "absent", "1.0": "present"}}, 1.0, "present"),
        ({"classes": {"true": "present", "false": "absent"}}, False, "absent"),
        ({"others": "leave-out"}, None, None),
        ({"others": "leave-out"}, "  ", None),
        ({"others": "leave-out"}, float("nan"), None),
        (YES_NO | {"others": "leave-out"}, "perhaps", None),
        ({"as": "number"}, " 2.5", 2.5),
        ({"as": "number"}, 3, 3.0),
        ({"as": "number", "others": "leave-out"}, "unknown", None),
        ({"as": "number", "others": "leave-out"}, float("nan"), None),
    ],
)
def test_a_cell_says_a_class_a_number_or_nothing(entry, cell, label):
    found = read_label("seen", LabelColumn.model_validate(entry), cell, "my.csv, row 2")
    assert (found, type(found)) == (label, type(label))


@pytest.mark.parametrize(
    ("entry", "cell", "complaint"),
    [
        ({}, None, "my.csv, row 2: the column 'seen' is empty; fill the cell, or leave such items out"),
        ({}, [1], "the column 'seen' holds [1], not text or a number"),
        (
            {"column": "answer"} | YES_NO,
            "maybe",
            "the column 'answer' is 'maybe', not one of 'Yes', 'no'; add it to lab",
        ),
        (
            YES_NO,
            "",
            "is empty; fill the cell, or leave such items out of this label with `others: leave-out` under lab",
        ),
        ({"as": "number"}, "3 m", "is '3 m', not a number; correct it, or leave such items out"),
        ({"as": "number"}, "inf", "is 'inf', not a number"),
        ({"as": "number"}, True, "is True, not a number"),
    ],
)
def test_a_cell_that_says_nothing_is_refused(entry, cell, complaint):
    with pytest.raises(InputError) as raised:
        read_label("seen", LabelColumn.model_validate(entry), cell, "my.csv, row 2")
    assert complaint in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"unit": "m"}, "add `as: number`"),
        ({"as": "number"} | YES_NO, "either `classes` or `as: number`"),
        ({"classes": {"a": "one", "b": "one"}}, "two different `classes`"),
        ({"classes": {"Yes": "a", "yes ": "b"}}, "'yes' means both a and b"),
        ({"others": "drop"}, "'refuse' or 'leave-out'"),
    ],
)
def test_a_column_is_checked(entry, complaint):
    with pytest.raises(ValidationError, match=complaint):
        LabelColumn.model_validate(entry)


def test_labels_are_a_list_or_a_mapping():
    read = TypeAdapter(Labels).validate_python
    assert labels_of(read(["wet"])) == labels_of(read({"wet": {}})) == {"wet": LabelColumn(column="wet")}
    assert labels_of(read({"wet": {"column": "rain"}}))["wet"].column == "rain"
