"""Read hidden states at positions that differ between inputs: an image's last token, an object's patches, a word.

:mod:`layerwise.models.marked.prompts` says what is marked in a prompt, :mod:`layerwise.models.marked.tokens` which
tokens that are, and :mod:`layerwise.models.marked.reading` reads them from a model's own forward pass.
"""
