"""Interventions on a decoder while it runs: ``catalogue.py`` lists the kinds, each in a module of its own."""
