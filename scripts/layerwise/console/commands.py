"""The subcommands of ``layerwise``, in the order in which they are needed.

Each is a module of this package of the same name, with ``add_options(parser)`` and ``run(options)``. To add one, write
the module and a line here.
"""

COMMANDS = {
    "init": "write a commented study beside your pictures, and say how to run it",
    "check": "read a study and all that it names, before hours are spent; no model is run",
    "cost": "estimate tokens, bytes and hours of a study, before anything is run",
    "where": "print where the workflow's Snakefile lies, for snakemake --snakefile",
    "open": "open the page of a finished study",
    "publish": "put a finished study into a folder for the Hugging Face hub or Zenodo",
    "describe": "say what a file of hidden states holds",
}
