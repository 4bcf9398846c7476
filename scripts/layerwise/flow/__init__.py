"""Information flow: which attention an answer needs (arXiv 2411.18620), and where in the stack it appears."""
