"""The documentation as a website: `make docs`. It writes the pages, Zensical builds them, and every link is checked."""
