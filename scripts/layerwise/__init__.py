"""Where in a multimodal LLM does an image's meaning live? The library behind the workflow, split by stage.

A stage imports from the stages before it, never from those after it:
``datasets`` -> ``stimuli`` -> ``models`` -> ``states`` -> ``probes`` / ``flow`` -> ``figures``.
"""
