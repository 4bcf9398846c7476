"""What a study may say: one module a section, checked by pydantic.

:mod:`layerwise.config.reading` reads a config and says what is wrong with it, :mod:`layerwise.config.schema` writes the
schema that editors use. :mod:`layerwise.study` reads a whole study.
"""
