"""Information flow in a frozen model: attention knockout and answer tracing (Zhang et al. 2025, arXiv 2411.18620)."""
