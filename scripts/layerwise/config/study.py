"""The root of a config: all sections of a study."""

from typing import Annotated

from pydantic import Field

from layerwise.config.base import Each, Filled, Maybe, Name, OneOf, Section, Seed, among
from layerwise.config.carry import Carry
from layerwise.config.data import DatasetEntry, PathVars, Source, World
from layerwise.config.explore import Explore
from layerwise.config.flow import TABLE_PROMPTS, Flow
from layerwise.config.lens import Lens
from layerwise.config.likeness import Likeness
from layerwise.config.models import Adapter, EmbeddedModel, Model
from layerwise.config.pooled import Pooled
from layerwise.config.probes import Probes
from layerwise.config.prompts import Prompt
from layerwise.config.specifications import Specifications
from layerwise.config.states import States
from layerwise.config.stimuli import StimuliEntry
from layerwise.config.tasks import Task
from layerwise.config.tower import Tower
from layerwise.config.used import Used
from layerwise.datasets.catalogue import FORMATS, QUESTIONS
from layerwise.stimuli.catalogue import KINDS

# Prompts wrap stimuli of a kind, the questions of a data format, or those of a table.
PROMPT_KINDS = [*KINDS, *QUESTIONS, TABLE_PROMPTS]
PromptKind = Annotated[str, among(PROMPT_KINDS)]


class StudyConfig(Section):
    """Every key of a config file. Unknown keys are refused, missing ones take the default given here. A choice that the
    papers leave open carries the words "our choice"."""

    seed: Seed = 0
    """One seed for everything that draws at random: world, sampling, splits, bootstrap, random weights."""
    include: list[str] = []
    """Config files that this one builds on, by their paths from its own folder or from the project's `config` folder
    (recipes/pope.yaml). What they say is merged beneath this study's own keys, so that it can change any of them."""
    extends: list[str] = []
    """Studies whose results root this one shares, by the paths of their configs from this one's. What both have in
    common is replaced by this study's. Without it, a root that holds another study's results is refused."""
    pathvars: PathVars = PathVars()
    """Where results, logs and benchmarks lie, for instance on a scratch disk. Relative to the working directory."""
    sources: dict[Name, Source] = {}
    """Where data sets are downloaded from. `config/sources.yaml` fills it; a study may point parts of it at a
    mirror."""
    worlds: dict[Name, World] = {}
    """Synthetic worlds of drawn shapes, written in the formats of COCO, SNLI-VE and GQA and as frame sequences."""
    embedded_models: dict[Name, EmbeddedModel] = {}
    """Small LLaVAs that the workflow trains on the world of shapes, by name, for models whose source is the word
    embedded."""
    datasets: dict[Name, Annotated[DatasetEntry, OneOf("format", FORMATS)]] = {}
    """Where annotated images come from. A `world`, folders of your own, or a download."""
    prompts: Annotated[
        dict[PromptKind, dict[Name, Prompt]], Field(json_schema_extra={"propertyNames": {"enum": PROMPT_KINDS}})
    ]
    """The wording that each kind of stimulus is wrapped in. Placeholders are {text} (caption, hypothesis or the table's
    text), {choices} and {choice} (of a table with `choices`: all of a row, or one), {category} (one category cue per
    prompt), {categories} (the whole category list as a cue), and {first} and {second} (the two categories of
    coco-relations). A prompt of coco-objects without a placeholder has no cue. The first paper's wording is unknown;
    ours is our choice. Prompts of gqa and of questions wrap the questions of `flow`: GQA's have {text}, those of tables
    {question}, {options}, and {image 1}, {image 2} where pictures are not to stand before the text."""
    stimuli: dict[Name, Annotated[StimuliEntry, OneOf("kind", KINDS)]] = {}
    """What the models are shown. One forward pass per model, stimulus and prompt; tasks reuse it."""
    tasks: dict[Name, Task] = {}
    """Labels and splits over a stimulus set. Another task over the same stimuli costs no forward pass."""
    adapters: dict[Name, Adapter] = {}
    """What an adapter needs beyond the main environment, by the name of its module. Defaults lie in adapters.yaml."""
    models: Annotated[dict[Name, Model], Filled()]
    """Frozen multimodal models."""
    leave_out: Annotated[list[Name], Each()] = []
    """Models to run without, for figures of the others when these have failed. Figures and tables then go to
    results/partial/without-NAMES and say what they lack."""
    states: States = States()
    """What is kept of a forward pass."""
    likeness: Likeness = Likeness()
    """What layers are like: norms, outlier dimensions, anisotropy, and how alike layers and models are."""
    flow: Flow = Flow()
    """Information flow (arXiv 2411.18620): which attention an answer needs, and where in the stack it appears. Every
    model is asked all questions."""
    probes: Probes = Probes()
    """The classifiers, and how sure we are of their scores."""
    carry: Carry = Carry()
    """Which other hidden states kept probes read, without being fitted again: is it the same knowledge? Needs
    `probes.keep`."""
    specifications: Maybe[Specifications] = None
    """The specification curve: the claim that a layer below the top beats the topmost block, under many combinations of
    choices. Absent: none is made."""
    used: Maybe[Used] = None
    """Whether a model uses what a probe finds: the class of a task is erased from the last token's state behind each
    block, or the state is steered along it, and the model's answers are compared with those of the free run. Absent:
    nothing is erased."""
    tower: Maybe[Tower] = None
    """The vision tower and the projector as layers before the decoder: labels of the picture are looked for in each of
    its blocks, too. Absent: the tower is not read."""
    lens: Maybe[Lens] = None
    """The patch lens: where in a picture the output head names what is there, layer by layer. Absent: no picture is
    read."""
    pooled: Maybe[Pooled] = None
    """Attention probes over image tokens, beside probes of their mean: which tokens hold what a label needs? Absent: no
    image token is kept."""
    explore: Explore = Explore()
    """The page one plays with: how many test items it shows, how large it may be, and whether it holds copies of
    pictures. Changes no result."""
