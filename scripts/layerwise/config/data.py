"""Where results lie, and where images and annotations come from."""

from typing import Annotated, Any

from pydantic import ConfigDict, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from layerwise.config.base import Checked, Count, Maybe, Name, Section, among, text, whole
from layerwise.datasets.catalogue import PACKINGS

MD5 = Annotated[str, text("[0-9a-f]{32}", "an MD5 checksum: 32 hexadecimal digits in lower case")]
SHA256 = Annotated[str, text("[0-9a-f]{64}", "a SHA-256 checksum: 64 hexadecimal digits in lower case")]
Address = Annotated[str, text("https?://.*", "an address that begins with http:// or https://")]
Bytes = Annotated[int, whole(1)]
# Each of three parts has a matched pair.
Sequences = Annotated[
    int,
    Checked(
        lambda value: type(value) is int and (value == 0 or value >= 6),
        "0, or a whole number of at least 6",
        {"type": "integer", "minimum": 0},
    ),
]
# For the schema: what a drawn data set does not have, and the other two ways to come by one.
FILES = ("images", "annotations", "download", "download_images")
FOLDERS: JsonDict = {"required": ["images", "annotations"]}
DOWNLOADED: JsonDict = {"required": ["download"]}


class PathVars(Section):
    """Where results, logs and data go, for instance on a scratch disk. Relative to the working directory."""

    results: str = "results"
    """Root of everything that the workflow makes."""
    logs: str = "logs"
    """One log per job."""
    benchmarks: str = "logs/benchmarks"
    """Time and memory of each job."""
    environments: str = ".environments"
    """Python environments that the workflow makes."""
    data: str = "data"
    """Downloaded data sets. Several studies may share it."""


class SourceFile(Section):
    """A file at a source: an archive, or a single file."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["annotations"]}, {"required": ["images"]}]})

    path: Maybe[str] = None
    """Path below `base`, or a whole address. Default: the file's name."""
    annotations: Maybe[str] = None
    """The annotation files in it, as a pattern of file names (*_train.json)."""
    images: Maybe[str] = None
    """The part whose images it holds, or the word all."""
    size: Bytes | None = None
    """Size in bytes."""
    md5: MD5 | None = None
    """MD5 checksum."""
    sha256: SHA256 | None = None
    """SHA-256 checksum."""

    @model_validator(mode="after")
    def _holds_one(self) -> "SourceFile":
        if (self.annotations is None) == (self.images is None):
            raise PydanticCustomError("unfit", "give either `annotations` or `images`: what the file holds")
        return self


class Source(Section):
    """Where a data set is downloaded from."""

    format: Annotated[str, among(list(PACKINGS))]
    """How its archives are packed. snli: SNLI 1.0, from which SNLI-VE is built."""
    base: Address
    """Address that the files' paths start from."""
    files: dict[Name, SourceFile]
    """The files at the source, by the name that they get here."""


class World(Section):
    """A synthetic world of drawn shapes, written in the formats of COCO, SNLI-VE and GQA and as frame sequences."""

    train_images: Count = 1200
    """Images in the COCO part train2017."""
    val_images: Count = 400
    """Images in the COCO part val2017."""
    flickr_images: Count = 800
    """Images of the SNLI-VE part (train, dev and test together)."""
    frame_sequences: Sequences = 0
    """Sequences of frames of each kind (first, moved, direction, cause, contact, outcome; train, val and test
    together), in matched pairs."""

    def entry(self) -> dict[str, Any]:
        """As ever where no sequences are drawn, so that what was made of older worlds is not stale."""
        entry = super().entry()
        return entry if self.frame_sequences else {key: entry[key] for key in entry if key != "frame_sequences"}


class DatasetEntry(Section):
    """What data sets of every format have.

    Each format's own class is ``Entry`` in its module (:mod:`layerwise.datasets.catalogue`).
    """

    format: str
    """How images and annotations are laid out."""
    copies: Maybe[bool] = None
    """Whether its licence allows that the page one plays with holds small copies of its pictures. If not, the page
    links them where they lie. Default: false for Flickr30k's pictures (snli-ve), true for all others."""


class FolderEntry(DatasetEntry):
    """What data sets in folders have: a `world`, folders of your own, or a download from one of `sources`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["world"], "not": {"anyOf": [{"required": [key]} for key in FILES]}},
                {"required": ["images", "annotations"], "not": {"anyOf": [{"required": ["world"]}, DOWNLOADED]}},
                {"required": ["download"], "not": {"anyOf": [{"required": ["world"]}, FOLDERS]}},
            ]
        }
    )

    world: Maybe[str] = None
    """Name of an entry of `worlds` that stands in for real files."""
    images: Maybe[str] = None
    """Folder of images."""
    annotations: Maybe[str] = None
    """Folder of annotation files."""
    download: Maybe[str] = None
    """Name of an entry of `sources`. Whichever of `images` and `annotations` is not given is downloaded: only the
    archives of the parts that are sampled, and of those only the images that are sampled are unpacked."""

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> "FolderEntry":
        given = {key for key in ("world", *FILES) if getattr(self, key, None) is not None}
        ways = [given == {"world"}, given >= {"images", "annotations"}, "download" in given]
        if sum(ways) != 1 or ("world" in given and given != {"world"}):
            raise PydanticCustomError("unfit", "give either `world`, or both `images` and `annotations`, or `download`")
        return self
