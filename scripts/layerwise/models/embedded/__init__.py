"""A small LLaVA that the workflow trains on the embedded world, in the files of any other Hugging Face model.

It takes two to three minutes of one CPU core, and can then say what is in a scene - so that probes, prompts and
attention knockout have something to find where no large model and no GPU is at hand.
"""
