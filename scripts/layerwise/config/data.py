"""Where results lie, and where images and annotations come from."""

from typing import Annotated, Literal

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from layerwise.config.base import Count, Maybe, Name, Section, text, whole

MD5 = Annotated[str, text("[0-9a-f]{32}", "an MD5 checksum: 32 hexadecimal digits in lower case")]
SHA256 = Annotated[str, text("[0-9a-f]{64}", "a SHA-256 checksum: 64 hexadecimal digits in lower case")]
Address = Annotated[str, text("https?://.*", "an address that begins with http:// or https://")]
Bytes = Annotated[int, whole(1)]


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

    format: Literal["coco", "snli-ve", "snli", "flickr30k", "gqa"]
    """How its archives are packed. snli: SNLI 1.0, from which SNLI-VE is built."""
    base: Address
    """Address that the files' paths start from."""
    files: dict[Name, SourceFile]
    """The files at the source, by the name that they get here."""


class World(Section):
    """A synthetic world of drawn shapes, written in the formats of COCO, SNLI-VE and GQA."""

    train_images: Count = 1200
    """Images in the COCO part train2017."""
    val_images: Count = 400
    """Images in the COCO part val2017."""
    flickr_images: Count = 800
    """Images of the SNLI-VE part (train, dev and test together)."""


class DatasetEntry(Section):
    """What data sets of every format have: a `world`, folders of your own, or a download.

    Each format's own class is ``Entry`` in its module (:mod:`layerwise.datasets.catalogue`).
    """

    format: str
    """How images and annotations are laid out."""
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
    def _comes_from_one_place(self) -> "DatasetEntry":
        folders = [self.images is not None, self.annotations is not None]
        ways = [self.world is not None, all(folders), self.download is not None]
        if sum(ways) != 1 or (self.world is not None and any(folders)):
            raise PydanticCustomError("unfit", "give either `world`, or both `images` and `annotations`, or `download`")
        return self
