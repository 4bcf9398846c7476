"""A small LLaVA that the workflow trains on the embedded world and saves like any other Hugging Face model.

Training takes two to three minutes on one CPU core. The model can then say what is in a scene, so that probes, prompts
and attention knockout have something to find without a large model or a GPU.
"""
