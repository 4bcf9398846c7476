"""What a study will run, and what is refused before it runs.

``grid`` lists the cells; the ``..._grid`` modules are its parts, and the ``..._checks`` modules refuse what cannot run.
``recipes`` names the folders of stimuli, questions and models; ``input_paths`` finds a study's own files;
``leaving_out`` runs a study without some of its models.
"""
