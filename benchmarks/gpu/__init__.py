"""What this project costs on a GPU, section by section; start it with ``benchmarks/gpu.sh``."""
