"""The kinds of probes that ``probes.engine`` of a study may name."""

from typing import TYPE_CHECKING

from layerwise.catalogue import Catalogue

if TYPE_CHECKING:
    from layerwise.probes.kinds.kind import ProbeKind

PROBE_KINDS: "Catalogue[ProbeKind]" = Catalogue(
    "KIND",
    {
        "torch": "layerwise.probes.kinds.torch_logistic",
        "sklearn": "layerwise.probes.kinds.sklearn_logistic",
    },
)
