"""The charts: every view of the study, each following the reader's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerwise.explore.catalogue import VIEWS
from layerwise.explore.entry import Content, Part
from layerwise.explore.planning import read_by_views, views

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given


def make(given: Given, names: Sequence[str]) -> Content:
    import vl_convert

    from layerwise.explore.columns import as_columns

    shown = {name: VIEWS[name] for name in names}
    charts = {}
    for name, view in shown.items():
        rows = view.rows(given)
        charts[name] = {
            "rows": as_columns(rows),
            "chart": view.chart(rows).to_dict(),
            "follows": view.follows,
            "legend": view.legend,
            "picks": dict(view.picks),
        }
    libraries = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its types lack the default
    return Content({"views": shown}, {"charts": charts}, [libraries])


PART = Part(place=20, title="Charts", reads=read_by_views, exists=lambda study: bool(views(study)), make=make)
