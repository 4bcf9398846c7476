raise ImportError("the adapter must enter this package by its modules: its __init__ wants image generation")
