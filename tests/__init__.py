"""The tests. layerwise comes before transformers, which imports torchvision: see layerwise.torchvision_import."""

import layerwise  # noqa: F401
