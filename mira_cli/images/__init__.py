"""Images: sets of dependencies that can live together, each built as an Apptainer image or a virtual environment."""
