"""Versions of the libraries that affect hidden states."""

from importlib.metadata import PackageNotFoundError, version

# They decide models, pixels, tokens and quantized weights.
LIBRARIES = ("torch", "transformers", "tokenizers", "pillow", "torchvision", "timm", "bitsandbytes")


def library_versions() -> dict[str, str]:
    """The installed versions by name, without what is not installed.

    They are recorded with finished results, and are part of the name of the folder for work in progress: a file never
    has rows of two environments. They are no part of a cell, because most releases change no state.
    """
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
