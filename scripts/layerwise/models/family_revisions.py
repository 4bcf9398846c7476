"""Families whose row in :mod:`layerwise.models.families` changed in a way that changes numbers, and how often.

Raise a family's number when its row then gives other numbers than before: another begin token, another layout of its
patches. The number enters the digest in ``model.json`` of the models of that family, so that what they computed counts
as stale. It is a module of its own because registering models must see a change, and running them must not: the code
digest of registration covers this module.

So all models are registered again, which takes seconds. Forward passes are repeated for the changed family only. Probes
of other models may be fitted again, because the folder of a model's description then has another name.

A family that is not listed has revision 0, which enters no digest: models that were registered before there were
revisions stay what they are. tests/unit/models/test_family_rows.py fails on a changed row until someone has decided.
"""

REVISIONS: dict[str, int] = {}
