"""An embedded world: drawn scenes of coloured shapes, written in the formats of COCO, SNLI-VE and the GQA tables.

It stands in for the real data sets in the demo and the tests: it needs no download, every label in it is decided by a
rule from the scene, and :mod:`layerwise.models.embedded` learns it in minutes.
"""
