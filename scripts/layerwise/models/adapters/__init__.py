"""Adapters: one module per way of serving a model family, named by a model entry's ``adapter`` key.

A module has a function ``load(description, device) -> FrozenModel`` (see :mod:`layerwise.models.frozen`). One that
serves models of transformers also has ``wrap(model, processor, conversation) -> AnsweringModel``, which costs are read
off with. Nothing here lists the adapters: a new one is a new file, and touches no old cell.
"""
