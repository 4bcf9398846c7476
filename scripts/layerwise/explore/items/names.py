"""The names of the files of sampled test items. The Snakefile imports this module whenever it plans."""

DESCRIPTION = "items.json"
TABLES = ("items", "texts", "margins", "thumbnails")
SAMPLE_FILES = (DESCRIPTION, *(f"{name}.parquet" for name in TABLES))
