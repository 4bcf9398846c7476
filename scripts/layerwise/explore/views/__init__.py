"""The charts of the page, one module each."""
