"""The formats of data sets, by their names in a config. Each module has a class ``Entry`` for its config entry."""

from layerwise.catalogue import Catalogue
from layerwise.config.data import DatasetEntry

FORMATS: Catalogue[type[DatasetEntry]] = Catalogue(
    "Entry",
    {
        "coco": "layerwise.datasets.coco",
        "snli-ve": "layerwise.datasets.snli_ve",
        "gqa": "layerwise.datasets.gqa",
    },
)
