"""The folder of real pages beside the project."""

import os
from pathlib import Path

CORPUS = Path(os.environ.get("NOTAFLOW_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
