"""What ``pip install .`` puts into ``layerwise`` beside the library; pyproject.toml has the rest.

Folders of finished results are named after the code of the programs that made them, and every study builds on the
prompts and addresses in ``config/``. An installed library therefore carries both.
"""

import tempfile

from setuptools import find_packages, setup

# Not in the clone: setuptools would install again what an earlier build left there.
with tempfile.TemporaryDirectory() as build:
    setup(
        packages=[*find_packages("scripts"), "layerwise.programs", "layerwise.shared_config"],
        package_dir={"": "scripts", "layerwise.programs": "scripts", "layerwise.shared_config": "config"},
        package_data={
            "layerwise": ["same_code.json"],
            "layerwise.shared_config": ["adapters.yaml", "prompts.yaml", "sources.yaml", "recipes/*.yaml"],
        },
        include_package_data=False,
        options={"build": {"build_base": build}, "egg_info": {"egg_base": build}},
    )
