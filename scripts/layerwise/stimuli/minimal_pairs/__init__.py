"""Minimal pairs: two images and two statements, each true of one image and false of the other."""
