"""What an entry of the catalogue of figures and tables says of itself.

The Snakefile imports the module of every entry whenever it plans. Such a module imports libraries only within the
function that draws or writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


@dataclass(frozen=True)
class Contents:
    """What a study has, as far as it decides which figures and tables there are.

    Attributes:
        questions: of its tasks, "global" and "local"; empty where nothing is probed.
        random_labels, description_length: whether these controls are fitted.
        sites: within blocks, of all cells.
        interventions: kinds.
        twins: whether some model without intervention has an untrained twin.
        embedded: names of the models that the workflow trains.
        flow: whether attention is blocked in some model.
        flow_heads: whether it is also blocked head by head.
        question_sets: by set of questions what all its questions have: "boxes", "pictures" (several), "spans" and
            "distractors"; "heads" if flows are blocked head by head, and "head differences" with distractors, too.
        numbers: whether some task is about numbers.
        premise: whether some prompt shows the premise as text.
        parts: names of the tasks whose test items are scored in parts, see :mod:`layerwise.compare.test_parts`.
        says: names of the models, without interventions, whose answers are read off the states and scored.
        writes: the same of the models whose written answers are scored.
        carried: the models without intervention whose kept probes are carried, or whose states are read by others.
        sources: those of them whose kept probes are carried.
        specifications: the models and tasks that have a specification curve.
        kinds: names of the models without intervention whose states further kinds of probes read.
        routes: whether some model runs with a trained route.
        shortcuts: whether some task is compared with what simple features reach.
        made_from: whether some model is compared with the language model that it was made from.
        positions: whether the positions of single pictures are probed in some cell.
        task_positions: whether some task is probed at further positions in the text.
        tower: whether some task is probed in the vision tower.
        pooled: whether some task is probed over image tokens.
        picture_controls: whether items with several pictures are also shown with other pictures, or none, in the same
            words.
        lens: the models and stimulus sets of the patch lens.
        patch_maps: those of them whose pictures may be copied into a figure.
        likeness: names of the stimulus sets over which layers are measured and compared, see
            :mod:`layerwise.compare.layer_likeness`.
        consistency: whether items of some task may belong together, see :mod:`layerwise.compare.consistency`.
        used: names of the models in which concepts are erased and steered, see :mod:`layerwise.compare.used`; without
            untrained twins of others, which stand in their figures.
    """

    questions: frozenset[str] = frozenset()
    random_labels: bool = False
    description_length: bool = False
    sites: frozenset[str] = frozenset()
    interventions: frozenset[str] = frozenset()
    twins: bool = False
    embedded: tuple[str, ...] = ()
    flow: bool = False
    flow_heads: bool = False
    question_sets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    numbers: bool = False
    premise: bool = False
    parts: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    carried: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    specifications: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()
    made_from: bool = False
    used: tuple[str, ...] = ()
    routes: bool = False
    shortcuts: bool = False
    positions: bool = False
    task_positions: bool = False
    tower: bool = False
    pooled: bool = False
    picture_controls: bool = False
    consistency: bool = False
    lens: tuple[tuple[str, str], ...] = ()
    patch_maps: tuple[tuple[str, str], ...] = ()
    likeness: tuple[str, ...] = ()

    @property
    def probes(self) -> bool:
        """Whether anything is probed."""
        return bool(self.questions)


def by_layer_and_depth(study: Contents) -> dict[str, str]:
    """Variants of a figure of scores by layer: against the layer, and against the layer's share of the depth."""
    return {"layer": "by layer", "depth": "by relative depth"}


@dataclass(frozen=True)
class Figure:
    """One figure, in one or more variants.

    Attributes:
        place: among the figures of the report, from 0; no two figures of the whole study share one.
        title: in the report; it may hold ``{variant}``.
        reads: names of what it is drawn from, see :class:`layerwise.compare.inputs.Given`.
        reads_too: names of what else it is drawn from, where a study has it.
        draw: draws a variant.
        exists: whether a study has it.
        variants: the names of its variants in a study, and how the report calls their x axis.
        file: the name of a variant's file, from ``{name}`` and ``{variant}``.
        question: of the tasks that it is about, "global" or "local"; None for all tasks.
        per_flow: whether there is one for each model and set of questions of information flow, without variants.
        only_with: of these, only for questions that have this, see :attr:`Contents.question_sets`.
    """

    title: str
    reads: tuple[str, ...]
    draw: Callable[[Given, str], Drawing]
    exists: Callable[[Contents], bool]
    place: int = 0
    variants: Callable[[Contents], Mapping[str, str]] = lambda study: {"": "by layer"}
    file: str = "{name}"
    question: str | None = None
    per_flow: bool = False
    only_with: str = ""
    reads_too: Callable[[Contents], tuple[str, ...]] = lambda study: ()


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: of its page.
        category, labels: in the report.
        reads: names of what it is written from, see :class:`layerwise.compare.inputs.Given`.
        write: gives its sections, and its numbers as CSV; takes the position that is probed, "last" or "image-mean".
        exists: whether a study has it.
        per_flow: whether it is about information flow; it reads the tables of all models and questions.
        reads_too: names of what else it is written from, where a study has it.
    """

    title: str
    category: str
    labels: Mapping[str, str]
    reads: tuple[str, ...]
    write: Callable[[Given, str], tuple[Sequence[Section], str]]
    exists: Callable[[Contents], bool]
    per_flow: bool = False
    reads_too: Callable[[Contents], tuple[str, ...]] = lambda study: ()
