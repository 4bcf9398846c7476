"""The kinds of probes that ``probes.kinds`` of a study may name: readers of hidden states, from simple to complex."""

from typing import TYPE_CHECKING

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.probes.kinds.kind import ProbeKind

PROBE_KINDS: "Catalogue[ProbeKind]" = Catalogue(
    "KIND",
    {
        "mean-difference": "layerwise.probes.kinds.mean_difference",
        "logistic": "layerwise.probes.kinds.logistic",
        "mlp": "layerwise.probes.kinds.mlp",
        "mix": "layerwise.probes.kinds.mix",
    },
)
