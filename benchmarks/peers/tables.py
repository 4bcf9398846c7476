"""The page's tables."""

from typing import Any

from environments import version_of
from ways import Way

CAN = """What each can that this project cannot:

- A **plain loop** keeps the states of every token, of any model that transformers loads, in a dozen lines.
- **nnsight** reads and changes any value in any module of any torch model, with gradients, also on remote servers.
- **TransformerLens** gives the parts of a block (queries, keys, values, attention patterns, neurons) the same names in
  many families, and has tools for patching and attributing them.
- **VLM-Lens** stores the output of any named module for all tokens, and has classes for models that run on their
  authors' code, such as CogVLM and GLaMM.
"""


def extraction_table(ways: list[Way], inputs: int) -> str:
    """Each tool's cost of all states, beside ours."""
    ours = ways[0]
    lines = [
        "| tool | version | CPU s | times ours | inputs a CPU second | peak memory, MiB | greatest difference |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        if way.cannot:
            lines.append(f"| {way.shown} | {version_of(way.tool)} | {way.cannot} | | | | |")
            continue
        cpu, peak = way.median("cpu"), way.costs[-1]["peak_mib"]
        times = "" if ours.cannot else f"{cpu / ours.median('cpu'):.1f}"
        row = [way.shown, version_of(way.tool), f"{cpu:.1f}", times, f"{inputs / cpu:.1f}"]
        row += ["–" if peak is None else f"{way.median('peak_mib'):.0f}", f"{way.difference:.0e}"]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def study_table(ways: list[Way], costs: dict[str, Any]) -> str:
    """CPU seconds of the whole study; every tool but ours ends in the same scikit-learn program."""
    ours = [costs["extraction"], costs["probes"]]
    lines = [
        "| tool | extraction, from the start, CPU s | probes and intervals, CPU s | together | times ours |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for way in ways:
        if not way.cannot:
            parts = ours if way.tool == "layerwise" else [way.start + way.median("cpu"), costs["theirs"]["cpu"]]
            row = [way.shown, *(f"{part:.1f}" for part in parts), f"{sum(parts):.1f}", f"{sum(parts) / sum(ours):.1f}"]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)
