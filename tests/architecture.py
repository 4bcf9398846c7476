"""Draw which room of the library imports which into docs/architecture.md: ``make architecture``.

The order of the rooms is written once, in pyproject.toml, where import-linter checks it (``make lint``). grimp reads
the imports from the code, without running it.
"""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs/architecture.md"
CONTRACTS = REPOSITORY / "pyproject.toml"
LIBRARY = REPOSITORY / "scripts/layerwise"
# The picture lies between these two lines of the page.
BEGIN, END = "<!-- Drawn by `make architecture`: do not edit. -->\n", "<!-- End of the picture. -->\n"

Arrows = set[tuple[str, str]]


class Box(NamedTuple):
    """A box of the picture: a package, or the single modules of one layer together."""

    name: str
    modules: tuple[str, ...]
    layer: int  # 0 is the topmost
    is_package: bool


def boxes(contracts: Path = CONTRACTS, library: Path = LIBRARY) -> list[Box]:
    """The boxes from top to bottom. Names in the order of layers that do not exist (yet) are left out."""
    layers = tomllib.loads(contracts.read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    found = []
    for number, layer in enumerate(layers):
        names = re.findall(r"\w+", layer)
        found += [Box(name, (name,), number, True) for name in names if (library / name / "__init__.py").is_file()]
        if single := tuple(name for name in names if (library / f"{name}.py").is_file()):
            found.append(Box("base" if number == len(layers) - 1 else single[0], single, number, False))
    return found


def arrows(drawn: list[Box]) -> Arrows:
    """Who imports whom, by names of boxes.

    Imports for type checkers alone do not count, nor do those of a catalogue, which only lists names.
    """
    # Imported late: only `make architecture` and its test need it. The package is found through sys.path.
    import grimp

    graph = grimp.build_graph("layerwise", exclude_type_checking_imports=True, cache_dir=None)
    box_of = {module: box.name for box in drawn for module in box.modules}
    found = set()
    for module in graph.modules - {"layerwise"}:
        for other in graph.find_modules_directly_imported_by(module) - {"layerwise"}:
            if other.count(".") == 1 or not other.endswith(".catalogue"):
                found.add((box_of[module.split(".")[1]], box_of[other.split(".")[1]]))
    return {(importer, imported) for importer, imported in found if importer != imported}


def shortest(direct: Arrows) -> Arrows:
    """The arrows that no chain of other arrows implies."""
    longer = set(direct)
    while more := {(a, d) for a, b in longer for c, d in direct if b == c} - longer:
        longer |= more
    return direct - {(a, d) for a, b in direct for c, d in longer if b == c}


def picture() -> str:
    """The diagram in mermaid's language, and the table of all imports."""
    drawn = boxes()
    direct = arrows(drawn)
    order = {box.name: place for place, box in enumerate(drawn)}
    lines = ["```mermaid", "flowchart TB"]
    for box in drawn:
        label = f"<b>{'base' if box.name == 'base' else ', '.join(box.modules)}</b>"
        lines.append(f'  {box.name}["{label}"]' if box.is_package else f'  {box.name}("{label}")')
    lines += [f"  {a} --> {b}" for a, b in sorted(shortest(direct), key=lambda pair: [order[name] for name in pair])]
    lines += ["```", "", "| room | imports |", "|---|---|"]
    shown = {box.name: ", ".join(f"`{module}`" for module in box.modules) for box in drawn}
    shown["base"] = "base"
    for box in drawn:
        lines.append(f"| {shown[box.name]} | {', '.join(shown[b] for b in order if (box.name, b) in direct) or '-'} |")
    base = [f"`{module}`" for box in drawn if box.name == "base" for module in box.modules]
    return "\n".join([*lines, "", f"base: {', '.join(base)}."]) + "\n"


def page(text: str) -> str:
    """The page with the picture as the code is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{picture()}\n{END}{after}"


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(LIBRARY.parent))
    PAGE.write_text(page(PAGE.read_text()))
