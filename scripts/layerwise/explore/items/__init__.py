"""Test items down to their pictures: which are shown, what probes and models say of each, and small copies of pictures.

``sample_items.py`` writes them, and the part ``items`` puts them on the page.
"""
