"""One module per way of serving a model family, named by a model entry's ``adapter`` key.

A module has a function ``load(description, device) -> FrozenModel`` (see :mod:`layerwise.models.frozen`). Nothing here
lists them: a new family is a new file, and touches no old cell.
"""
