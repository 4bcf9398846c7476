"""What ``pip install .`` puts into ``layerwise`` beside the library; pyproject.toml has the rest.

The folder ``layerwise/workflow`` is laid out as the clone and has all that a run needs, so that it runs like one. It
has the library a second time: jobs may run in other environments (Conda's, or that of older models), whose Python does
not see what is installed here.
"""

import tempfile

from setuptools import find_packages, setup

WORKFLOW = [
    *("Snakefile", "pyproject.toml", "rules/*.smk", "profiles/*/*", "envs/*.txt", "envs/*.yaml"),
    *("config/*.yaml", "config/*.j2", "config/recipes/*.yaml", "config/schemas/*.yaml"),
    *("report/*.*", "report/page/*", "report/parts/*"),
    *("scripts/*.py", "scripts/layerwise/**/*.py", "scripts/layerwise/same_code.json"),
]

# Not in the clone: setuptools would install again what an earlier build left there.
with tempfile.TemporaryDirectory() as build:
    setup(
        packages=[*find_packages("scripts"), "layerwise.workflow"],
        package_dir={"": "scripts", "layerwise.workflow": "."},
        package_data={"layerwise": ["same_code.json"], "layerwise.workflow": WORKFLOW},
        include_package_data=False,
        options={"build": {"build_base": build}, "egg_info": {"egg_base": build}},
    )
