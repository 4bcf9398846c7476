"""Flickr30k's pictures, as they are packed for SNLI-VE."""

from layerwise.datasets.format import Packing

PACKING = Packing(images="flickr30k_images")
