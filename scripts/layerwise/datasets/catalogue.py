"""The formats of data sets that a study may name, and how the sources pack their files.

A format says what lies where and what its parts are called. A packing says what is in a source's archives: one format's
annotations and images may come from two sources. What a format holds is said by the other catalogues here, whose
modules read it.
"""

from typing import TYPE_CHECKING, Any

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.datasets.annotated import AnnotatedSource
    from layerwise.datasets.format import DataFormat, Packing
    from layerwise.datasets.questions import QuestionSource

# By the `format` of an entry of `datasets`.
FORMATS: "Catalogue[DataFormat[Any]]" = Catalogue(
    "FORMAT",
    {
        "coco": "layerwise.datasets.formats.coco",
        "snli-ve": "layerwise.datasets.formats.snli_ve",
        "gqa": "layerwise.datasets.formats.gqa",
        "frames": "layerwise.datasets.formats.frames",
        "hub": "layerwise.datasets.formats.hub",
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
# Formats with images whose objects and captions are annotated, for the kinds of stimuli that are made of these.
ANNOTATED: "Catalogue[AnnotatedSource]" = Catalogue(
    "ANNOTATED_SOURCE",
    {
        "coco": "layerwise.datasets.coco",
    },
)
# Formats with questions about images, for `flow`.
QUESTIONS: "Catalogue[QuestionSource]" = Catalogue("QUESTION_SOURCE", {"gqa": "layerwise.datasets.gqa_sources"})
