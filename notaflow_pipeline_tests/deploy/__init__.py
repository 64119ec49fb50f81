"""Tests of the files in `deploy/`, as far as one machine can."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
