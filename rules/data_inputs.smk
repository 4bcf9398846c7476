# Inputs and params of the rules of data sets and their images.
from layerwise.datasets.formats.snli import split_lists
from layerwise.datasets.hub_files import read_receipt
from layerwise.datasets.snli import PARTS as SNLI_VE_PARTS, SNLI_FILES


def flickr_images_and_sequences(world):
    """The end of the command that draws a world. In one param: Snakemake compares the params of a job as a set, so one more
    would draw worlds without sequences again."""
    sequences = f" --frame-sequences {world.frame_sequences}" if world.frame_sequences else ""
    return f"{world.flickr_images}{sequences}" if sequences else world.flickr_images


def source_files(wildcards):
    """The files whose change makes a stimulus set stale, but for its images."""
    entry = study.config.stimuli[wildcards.stimuli]
    return KINDS[entry.kind].source_files(entry, study.data)


def dataset_options(wildcards):
    """Options that name a stimulus set's data set; empty for a kind that reads none."""
    entry = study.config.stimuli[wildcards.stimuli]
    return KINDS[entry.kind].options(entry, study.data)


def own_download(wildcards):
    """The download from the hub whose receipt has these wildcards."""
    return study.own_downloads[
        f"{study.data.root}/hub/{wildcards.repository}/{wildcards.commit}/{wildcards.asked}.json"
    ]


def told_of_hub(wildcards):
    """What a plan says of a download from the hub. Unless the entry says it, its licence is known once some of it is there."""
    asked = own_download(wildcards).asked
    page = f"https://huggingface.co/datasets/{asked['repository']}"
    receipts = Path(study.data.root, "hub", wildcards.repository, wildcards.commit).glob("[0-9a-f]*.json")
    licence = asked.get("licence") or next((read_receipt(receipt).licence for receipt in receipts), "")
    splits = f"split{'s' if len(asked['splits']) > 1 else ''} {', '.join(asked['splits'])}"
    return f"{asked['repository']} at {asked['revision'][:12]}, {splits} (licence: {licence or f'see {page}'})"


def image_receipts(wildcards):
    """The downloads that a stimulus set's images are unpacked from; empty for images that are used where they lie."""
    entry = study.config.stimuli[wildcards.stimuli]
    read = KINDS[entry.kind].reads(entry)
    return [] if read is None else study.data.image_receipts(*read)


def image_folder(wildcards):
    """Where the images of a stimulus set are unpacked."""
    return study.data.image_folder(study.config.stimuli[wildcards.stimuli].dataset)


def unpacked(wildcards):
    """The file that says that a stimulus set's images are unpacked; empty for images that are used where they lie."""
    return stimuli_file(wildcards.stimuli, "unpacked.json") if image_receipts(wildcards) else []


def items_entry(wildcards):
    """What decides the items of a stimulus set, as JSON."""
    return as_json(without(as_before("stimuli", study.config.stimuli[wildcards.stimuli].entry()), "prompts"))


def kind_files(stimuli):
    """The modules that make a stimulus set."""
    entry = study.config.stimuli[stimuli]
    return KINDS[entry.kind].files(entry, study.data)


def kind_code(program):
    """The digest of a program that makes stimuli, and of the modules of their kind and format."""
    return lambda wildcards: code_digest(program, *kind_files(wildcards.stimuli))
