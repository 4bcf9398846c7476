"""Put a finished study into a folder for the Hugging Face hub, Zenodo or a colleague.

``layerwise.publish.publishing.publish`` makes the folder; docs/sharing.md says what is in it. What it holds can be read
without this project.
"""
