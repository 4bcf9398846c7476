"""Versions of the libraries that have a part in hidden states."""

from importlib.metadata import PackageNotFoundError, version

# Models, pixels, tokens and quantized weights.
LIBRARIES = ("torch", "transformers", "tokenizers", "pillow", "torchvision", "timm", "bitsandbytes")


def library_versions() -> dict[str, str]:
    """The installed versions by name; what is not installed is left out.

    They are recorded with what was made, and name the folder of what is being made: a file never has rows of two
    environments. They are no part of a cell, because most releases change no state.
    """
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
