# Where in a multimodal LLM does an image's meaning live?
#
# images and texts -> stimuli -> hidden states of frozen models -> probes -> figures, tables, report
#
# README.md says how to run it, config/README.md how to change what it runs.
import sys

from snakemake.logging import logger
from snakemake.utils import min_version

# An older Snakemake parses this whole file before it checks the version, so the file uses no newer syntax.
min_version("9.12")


# First the defaults of every study: needs of adapters, prompts, and addresses of data sets. Then what the study includes, and
# the study itself. A config given on the command line replaces the demo's and is never merged into it. layerwise.study reads
# the same files.
configfile: f"{workflow.basedir}/config/adapters.yaml"
configfile: f"{workflow.basedir}/config/prompts.yaml"
configfile: f"{workflow.basedir}/config/sources.yaml"


if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


sys.path.insert(0, f"{workflow.basedir}/scripts")
from layerwise.config.including import included

for file in included(workflow.overwrite_configfiles, f"{workflow.basedir}/config"):

    configfile: str(file)


report: "report/workflow.rst"


# Check before the first job: an error within a job would end Snakemake with a traceback.
onstart:
    check_writable(study.results, "pathvars.results")
    claim_root(Path(study.results), study_files, study.config.extends)
    warn_of_small_tests()
    write_planned(Path(study.results) / "work", os.getpid(), planned_extractions())
    write_beside(Path(study.results) / "work", positions_beside())
    forget_when_stopped(Path(study.results) / "work")
    # The plugin is loaded by now. It forgets its jobs when Slurm does not answer.
    if workflow.executor_plugin.name == "slurm":
        keep_asking(sys.modules["snakemake_executor_plugin_slurm"])


onsuccess:
    # Forget kept states that no cell of this study uses any more.
    drop_unused(Path(study.results) / "kept")
    forget_planned(Path(study.results) / "work")
    forget_beside(Path(study.results) / "work")
    warn_of_small_tests()
    if pages := what_to_open():
        logger.info(pages)


# Folders and names first, then the stages in the order in which data flow.
include: "rules/folders.smk"
include: "rules/common.smk"
include: "rules/data_inputs.smk"
include: "rules/data.smk"
include: "rules/legacy_inputs.smk"
include: "rules/legacy.smk"
include: "rules/models_inputs.smk"
include: "rules/models.smk"
include: "rules/stimuli_inputs.smk"
include: "rules/stimuli.smk"
include: "rules/states_inputs.smk"
include: "rules/states.smk"
include: "rules/likeness_inputs.smk"
include: "rules/likeness.smk"
include: "rules/answers_inputs.smk"
include: "rules/answers.smk"
include: "rules/probes_inputs.smk"
include: "rules/probes.smk"
include: "rules/positions_inputs.smk"
include: "rules/positions.smk"
include: "rules/shortcuts_inputs.smk"
include: "rules/shortcuts.smk"
include: "rules/tower_inputs.smk"
include: "rules/tower.smk"
include: "rules/pooled_inputs.smk"
include: "rules/pooled.smk"
include: "rules/numbers_inputs.smk"
include: "rules/numbers.smk"
include: "rules/carry_inputs.smk"
include: "rules/carry.smk"
include: "rules/specifications_inputs.smk"
include: "rules/specifications.smk"
include: "rules/tokens_inputs.smk"
include: "rules/tokens.smk"
include: "rules/lens_inputs.smk"
include: "rules/lens.smk"
include: "rules/flow_inputs.smk"
include: "rules/flow.smk"
include: "rules/used_inputs.smk"
include: "rules/used.smk"
include: "rules/routes_inputs.smk"
include: "rules/routes.smk"
include: "rules/figures_inputs.smk"
include: "rules/compare.smk"
include: "rules/figures.smk"
include: "rules/explore_inputs.smk"
include: "rules/explore.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
        rules.tables.input,
        rules.flow.input,
        rules.explore.input,
    localrule: True


# Named targets: `snakemake downloads` fetches the data sets that a study needs, `snakemake models` finds (or downloads) the
# models' files, `snakemake stimuli` makes what they are shown, `snakemake states` runs them and stops there. `probes`, `kinds`,
# `shortcuts`, `tower`, `pooled`, `said` and `flow_results` make no figure.
rule downloads:
    input:
        study.receipts,
    localrule: True


rule models:
    input:
        [model_file(model) for model in study.config.models],
    localrule: True


rule stimuli:
    input:
        [stimuli_file(stimuli, file) for stimuli in grid.used_stimuli() for file in ("items.parquet", "prompts.json")],
    localrule: True


rule states:
    input:
        [file for cell in grid.states_cells() for file in states_files(*cell)],
        [file for cell in grid.position_states() for file in study.position_states_files(cell)],
    localrule: True


rule answers:
    input:
        [study.answers_file(cell) for cell in grid.answers_cells()],
        [study.generated_file(cell) for cell in grid.generated_cells()],
    localrule: True


rule probes:
    input:
        ["<shown>/probes/scores.parquet"] if CELLS else [],
        ["<shown>/probes/numbers.parquet"] if NUMBER_CELLS else [],
        ["<shown>/probes/task-positions.parquet"] if TASK_POSITION_CELLS else [],
    localrule: True


rule shortcuts:
    input:
        ["<shown>/probes/shortcuts.parquet"] if SHORTCUT_CELLS else [],
    localrule: True


rule tower:
    input:
        ["<shown>/probes/tower.parquet"] if TOWER_CELLS else [],
    localrule: True


rule pooled:
    input:
        ["<shown>/probes/pooled.parquet"] if POOLED_CELLS else [],
    localrule: True


rule said:
    input:
        expand("<shown>/compare/{comparison}.parquet", comparison=["said", "known-said"]) if SAID_CELLS else [],
    localrule: True


rule kinds:
    input:
        ["<shown>/probes/kinds.parquet"] if KIND_CELLS else [],
    localrule: True


rule tokens:
    input:
        [study.tokens_file(cell) for cell in TOKENS_CELLS],
    localrule: True


rule lens:
    input:
        [file for cell in LENS_CELLS for file in study.lens_files(cell)],
    localrule: True


rule flow_results:
    input:
        [study.flow_files(cell).changes for cell in grid.flow_cells()],
    localrule: True


rule used:
    input:
        [file for cell in USED_CELLS for file in study.used_files(cell)],
        [f"<shown>/figures/{name}.{format}" for name in PICTURES for format in FORMATS if of_used(name)],
        [
            f"<shown>/tables/{table}.{format}"
            for table in USED_TABLES
            if table in tables(contents)
            for format in ["csv", "tex", "md", "html"]
        ],
    localrule: True
