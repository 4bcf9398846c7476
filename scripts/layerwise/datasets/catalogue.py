"""The formats of data sets that a study may name, and how the sources pack their files.

A format says what lies where and what its parts are called. A packing says what is in a source's archives: one format's
annotations and images may come from two sources. Some formats come with questions about their images, for `flow`.
"""

from typing import TYPE_CHECKING, Any

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.datasets.format import DataFormat, Packing
    from layerwise.datasets.questions import QuestionSource

# By the `format` of an entry of `datasets`.
FORMATS: "Catalogue[DataFormat[Any]]" = Catalogue(
    "FORMAT",
    {
        "coco": "layerwise.datasets.formats.coco",
        "snli-ve": "layerwise.datasets.formats.snli_ve",
        "gqa": "layerwise.datasets.formats.gqa",
    },
)
# By the `format` of an entry of `sources`.
PACKINGS: "Catalogue[Packing]" = Catalogue(
    "PACKING",
    {
        "coco": "layerwise.datasets.formats.coco",
        "snli-ve": "layerwise.datasets.formats.snli_ve",
        "snli": "layerwise.datasets.formats.snli",
        "flickr30k": "layerwise.datasets.formats.flickr30k",
        "gqa": "layerwise.datasets.formats.gqa",
    },
)
# Formats with questions about images.
QUESTIONS: "Catalogue[QuestionSource]" = Catalogue("QUESTION_SOURCE", {"gqa": "layerwise.datasets.gqa_sources"})
