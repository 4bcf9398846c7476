"""Directions along which a concept is steered, as unit vectors, and how far the training rows spread along them."""

import numpy as np

from layerwise.models.interventions.concept_file import Steering
from layerwise.probes.kept import LayerProbe
from layerwise.used.concepts.erasers import Covariance
from layerwise.used.concepts.moments import Moments


def along_probe(probe: LayerProbe, covariance: Covariance) -> Steering:
    """The weights of a kept probe for the states as they are; the mean over the labels of a task with several.

    All are in logits per unit of the state, so that their mean is the gradient of the labels' mean margin.
    """
    weights = probe.weights.astype(np.float64).mean(axis=0)
    if len(weights) > 1:
        # Toward a class is away from the others. A constant added to all margins is toward none.
        weights -= weights.mean(axis=0)
    return _steering(weights, covariance)


def along_means(moments: Moments, covariance: Covariance) -> Steering:
    """From the mean of the first class to that of the second; with more classes, from that of all rows to each."""
    means = moments.class_means
    return _steering(means[1:] - means[:1] if len(means) == 2 else means - moments.mean, covariance)


def unit(directions: np.ndarray) -> np.ndarray:
    """Directions, shape (n, d), with norm 1; zeros stay zeros."""
    norms = np.linalg.norm(directions, axis=1, keepdims=True)
    return np.divide(directions, norms, out=np.zeros_like(directions), where=norms > 0)


def _steering(directions: np.ndarray, covariance: Covariance) -> Steering:
    directions = unit(directions)
    return Steering(directions, covariance.deviation(directions))
