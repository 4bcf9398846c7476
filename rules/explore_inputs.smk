# What the page one plays with is made from.
import tomllib

from layerwise.explore.catalogue import PARTS, VIEWS
from layerwise.explore.items.names import SAMPLE_FILES
from layerwise.explore.planning import parts, read_by_page, views
from layerwise.workflow_folder import IS_INSTALLED

PAGE = "<shown>/explore/index.html"
PAGE_PARTS, PAGE_VIEWS = parts(contents), views(contents)
PAGE_ASSETS = Path(workflow.basedir, "report", "page")


def page_files():
    """What the page is made from, by name."""
    return {name: files_of(name) for name in read_by_page(contents)}


def page_facts():
    """What the page says of the study below its title, as JSON. No date, so that the same results give the same page."""
    with Path(workflow.basedir, "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    named = {
        "Study": ", ".join(file.name for file in study_files),
        "Models": ", ".join(study.config.models),
        "Tasks": ", ".join(study.config.tasks),
        "Questions": ", ".join(study.config.flow.questions),
        "Seed": str(study.config.seed),
        "Made with": f"layerwise {version}",
    }
    return as_json({name: fact for name, fact in named.items() if fact})


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


def what_to_open():
    """What to open when a run has ended; empty after a run that makes nothing to look at."""
    if not Path(shown, "explore/index.html").exists():
        return ""
    whole = ""
    # The command for the report of a run without some models, or with several configs, is longer.
    if not left_out and len(workflow.overwrite_configfiles) < 2:
        option = "".join(f" CONFIG={os.path.relpath(file)}" for file in workflow.overwrite_configfiles)
        whole = f"; for a report of all in one file: make report{option}"
    # `make` is for a clone, and `layerwise` need not be installed there.
    if IS_INSTALLED:
        whole = f"; `layerwise open {' '.join(map(os.path.relpath, study_files))}` opens it"
    return f"Open {shown}/explore/index.html in a browser. Figures and tables for a paper: {shown}/figures, {shown}/tables{whole}"


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
