"""Perceptrons with one hidden layer, of many labels at once, in torch."""
