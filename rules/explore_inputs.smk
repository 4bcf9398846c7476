# What the page one plays with is made from.
import tomllib

from layerwise.explore.catalogue import PARTS, VIEWS
from layerwise.explore.planning import parts, read_by_page, views

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
    return f"Open {shown}/explore/index.html in a browser. Figures and tables for a paper: {shown}/figures, {shown}/tables{whole}"
