# Where in a multimodal LLM does an image's meaning live?
#
# images and texts -> stimuli -> hidden states of frozen models -> probes -> figures, tables, report
#
# README.md says how to run it, config/README.md how to change what it runs.
from snakemake.logging import logger
from snakemake.utils import min_version

# Nothing here may be newer than this line: an older Snakemake reads all of a file before it runs any of it.
min_version("9.12")


# What adapters need, the wording of the prompts and where data sets are downloaded from, then the study's grid. A config
# given on the command line replaces the demo's grid and is never merged into it.
configfile: f"{workflow.basedir}/config/adapters.yaml"
configfile: f"{workflow.basedir}/config/prompts.yaml"
configfile: f"{workflow.basedir}/config/sources.yaml"


if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


report: "report/workflow.rst"


# Before the first job: from within a job, Snakemake would end in a traceback of its own.
onstart:
    check_writable(study.results, "pathvars.results")
    claim_root(Path(study.results), study_files, study.config.extends)
    write_planned(Path(study.results) / "work", os.getpid(), planned_extractions())
    forget_when_stopped(Path(study.results) / "work")
    # By now Snakemake has loaded the plugin, which forgets its jobs when Slurm does not answer.
    if workflow.executor_plugin.name == "slurm":
        keep_asking(sys.modules["snakemake_executor_plugin_slurm"])


onsuccess:
    # States that no cell of this study has any more need not be found again.
    drop_unused(Path(study.results) / "kept")
    forget_planned(Path(study.results) / "work")
    if pages := what_to_open():
        logger.info(pages)


# Folders, names, what is stale; then the stages in the order in which data flow.
include: "rules/folders.smk"
include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/legacy.smk"
include: "rules/models.smk"
include: "rules/stimuli.smk"
include: "rules/states.smk"
include: "rules/probes.smk"
include: "rules/flow_inputs.smk"
include: "rules/flow.smk"
include: "rules/figures_inputs.smk"
include: "rules/compare.smk"
include: "rules/figures.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
        rules.tables.input,
        rules.flow.input,
    localrule: True


# Named targets: `snakemake downloads` fetches the data sets that a study needs, `snakemake models` finds (or downloads) the
# models' files, `snakemake states` runs them and stops there. `probes` and `flow_results` make no figure.
rule downloads:
    input:
        study.receipts,
    localrule: True


rule models:
    input:
        [model_file(model) for model in study.config.models],
    localrule: True


rule states:
    input:
        [file for cell in grid.states_cells() for file in states_files(*cell)],
    localrule: True


rule probes:
    input:
        "<shown>/probes/scores.parquet",
    localrule: True


rule flow_results:
    input:
        [study.flow_files(cell).changes for cell in grid.flow_cells()],
    localrule: True
