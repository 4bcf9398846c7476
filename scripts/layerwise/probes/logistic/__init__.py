"""Logistic regression of many labels at once, in torch."""
