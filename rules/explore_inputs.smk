# What the page one plays with is made from.
from layerwise.explore.catalogue import PARTS, VIEWS
from layerwise.explore.items.names import SAMPLE_FILES
from layerwise.explore.planning import parts, read_by_page, views

PAGE = "<shown>/explore/index.html"
PAGE_PARTS, PAGE_VIEWS = parts(contents), views(contents)
PAGE_ASSETS = Path(workflow.basedir, "report", "page")


def page_files():
    """What the page is made from, by name."""
    return {name: files_of(name) for name in read_by_page(contents)}


def page_code():
    """The digest of the code of the page, its parts and its views."""
    modules = [*map(PARTS.file, PAGE_PARTS), *map(VIEWS.file, PAGE_VIEWS)]
    return code_digest("make_page.py", *modules)


@cache
def assets_digest():
    """The digest of templates, styles and scripts."""
    digest = hashlib.sha256()
    for file in sorted(PAGE_ASSETS.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


# The sampled test items. Of several draws of random weights the first, under the name of their entry.
SAMPLED = [f"<shown>/explore/{name}" for name in SAMPLE_FILES]
FIRST_DRAWS = {name: entry for entry, name in {of: draw for draw, of in reversed(grid.draws().items())}.items()}
SAMPLED_CELLS = [
    cell for cell in (*CELLS, *NUMBER_CELLS) if cell.model not in grid.draws() or cell.model in FIRST_DRAWS
]


def sampled_files():
    """What test items are sampled from, by name."""
    names = ["tasks", "predictions"] if CELLS else []
    names += ["number-tasks", "estimates"] if NUMBER_CELLS else []
    names += [
        name
        for name, cells in (("answers", SAID_CELLS), ("generated", WRITTEN_CELLS), ("labels", grid.unseen_text_tasks()))
        if cells
    ]
    sets = grid.used_stimuli()
    # Ancient: a change of what is shown changes the name of the folder.
    shown = [ancient(stimuli_file(name, file)) for name in sets for file in ("stimuli.json", "items.parquet")]
    return {name: files_of(name) for name in names} | {"stimuli": shown}


def prompts_of_tasks(wildcards):
    """The prompts of the stimulus sets, as JSON."""
    sets = {cell.task: study.config.tasks[cell.task].stimuli for cell in SAMPLED_CELLS}
    return as_json(
        {
            stimuli: {name: prompt.shown() for name, prompt in grid.prompts(stimuli).items()}
            for stimuli in dict.fromkeys(sets.values())
        }
    )
