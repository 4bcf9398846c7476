"""Image tokens that are kept: every one of some pictures, in every layer, for probes that choose among them."""
