"""The tests. layerwise comes before transformers, which imports torchvision: see layerwise.torchvision_operators."""

import layerwise  # noqa: F401
