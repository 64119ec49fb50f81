"""What stands in `deploy/`, tried as far as one machine goes."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
