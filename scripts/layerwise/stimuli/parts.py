"""The parts that the authors of a data set divided it into, and the splits that they are meant for."""

SPLITS = ("train", "val", "test")
# By official part of the data sets that we read; a table's own split column uses the words themselves.
OFFICIAL = {
    "train2017": "train", "val2017": "test",
    "train": "train", "dev": "val", "val": "val", "test": "test",
}  # fmt: skip
