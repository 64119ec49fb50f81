"""Tests of the wheel: without a checkout it can migrate a database."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from notaflow_pipeline import __version__
from notaflow_pipeline.job_queue.schema.migrate import migration_ids
from notaflow_pipeline.local.dev_server import SAMPLES
from notaflow_pipeline.ocr.engines.model_files import SUFFIX, TYPESCRIPT_MODELS
from notaflow_pipeline_tests.deploy import PROJECT

PARTS = ("pyproject.toml", "README.md", "LICENSE", "migrations", "notaflow_pipeline")

INSTALLED = """
from notaflow_pipeline.cli import main
main()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package from its wheel, as pip unpacks it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        if (PROJECT / part).is_dir():
            shutil.copytree(
                PROJECT / part, source / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy(PROJECT / part, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", str(folder), str(source)], check=True
    )
    [wheel] = folder.glob("notaflow_pipeline-*.whl")
    assert wheel.name == f"notaflow_pipeline-{__version__}-py3-none-any.whl"
    subprocess.run([*pip, "install", *offline, "--target", str(folder / "site"), str(wheel)], check=True)
    shutil.rmtree(source)
    return folder / "site"


def notaflow(installed: Path, folder: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    ours = ("NOTAFLOW_", "OCR_", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-c", INSTALLED, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(installed), **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def test_wheel_migrates_an_empty_database_and_rolls_it_back(
    installed: Path, tmp_path: Path, empty_database_url: str
) -> None:
    settings = {"NOTAFLOW_DATABASE_URL": empty_database_url}
    done = notaflow(installed, tmp_path, "migrate", **settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [word for name in migration_ids() for word in ("applied", name)]
    assert notaflow(installed, tmp_path, "migrate", "--check", **settings).returncode == 0
    assert notaflow(installed, tmp_path, "migrate", "--down-to", "0", **settings).returncode == 0


def test_wheel_holds_models_samples_and_licence_and_no_tests(installed: Path) -> None:
    for model in TYPESCRIPT_MODELS.values():
        assert (installed / "notaflow_pipeline" / "ocr" / "models" / f"{model}{SUFFIX}").is_file()
    assert {one.name for one in (installed / "notaflow_pipeline" / "samples").iterdir()} == {
        one.name for one in SAMPLES.iterdir()
    }
    assert list(installed.glob("notaflow_pipeline-*.dist-info/licenses/LICENSE"))
    assert not (installed / "notaflow_pipeline_tests").exists()
