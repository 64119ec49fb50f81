"""Dagster's processes use the database and folders that `notaflow dev` found, in whatever folder they run."""

from collections import Counter
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from notaflow_pipeline.local.dagster_processes import PROJECT
from notaflow_pipeline.local.dev_server import describe_added, environment_of_dagster, make_instance, open_log
from notaflow_pipeline.settings import Settings

URL = "postgresql://worker:w@db.example.org/notaflow"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a `.env` that says otherwise than the environment."""
    (tmp_path / ".env").write_text(
        "NOTAFLOW_DATABASE_URL=postgresql://worker:w@db.example.org/production\n"
        "NOTAFLOW_OWNER_DATABASE_URL=postgresql://owner:secret@db.example.org/production\n"
        "OCR_WORKERS=3\nOCR_MAX_PAGES=7\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCR_WORKERS", "2")
    return tmp_path


def test_environment_overrides_env_file_and_both_reach_dagster(folder: Path) -> None:
    environment = environment_of_dagster(Settings(NOTAFLOW_DATABASE_URL=URL), URL, folder / "instance", 3001)
    assert environment["NOTAFLOW_DATABASE_URL"] == URL
    assert environment["OCR_WORKERS"] == "2"
    assert environment["OCR_MAX_PAGES"] == "7"
    assert environment["DAGSTER_HOME"] == str(folder / "instance")
    assert environment["NOTAFLOW_UI_URL"] == "http://127.0.0.1:3001", "where this UI is"


def test_ui_url_that_is_set_reaches_dagster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_UI_URL", "https://ocr.example.org")
    environment = environment_of_dagster(Settings(NOTAFLOW_DATABASE_URL=URL), URL, folder, 3001)
    assert environment["NOTAFLOW_UI_URL"] == "https://ocr.example.org"


def test_owners_login_does_not_reach_dagster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(NOTAFLOW_DATABASE_URL=URL)
    assert "secret" not in str(environment_of_dagster(settings, URL, folder, 3000))
    monkeypatch.setenv("NOTAFLOW_OWNER_DATABASE_URL", "postgresql://owner:secret@db.example.org/notaflow")
    assert "secret" not in str(environment_of_dagster(settings, URL, folder, 3000))


@pytest.mark.parametrize("name", ["home", "a home with blanks: and a colon"])
def test_instance_is_the_projects_with_folders_in_the_home(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    instance = make_instance(home)
    ours = yaml.safe_load((PROJECT / "dagster.yaml").read_text(encoding="utf-8"))
    written = yaml.safe_load((instance / "dagster.yaml").read_text(encoding="utf-8"))
    assert written["compute_logs"]["config"].pop("base_dir") == str(home / "dagster" / "compute_logs")
    assert written["local_artifact_storage"]["config"].pop("base_dir") == str(home / "dagster")
    for part in ("compute_logs", "local_artifact_storage"):
        assert ours[part]["config"].pop("base_dir").startswith(".notaflow/dagster")
    assert written == ours
    assert not (instance / ".env").exists()


def test_log_of_the_start_before_is_kept(tmp_path: Path) -> None:
    for text in (b"first", b"second", b"third"):
        with open_log(tmp_path) as log:
            log.write(text)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "logs").iterdir()}
    assert kept == {"dev.log": b"third", "dev.previous.log": b"second"}


def test_samples_that_nothing_will_read_are_counted() -> None:
    added = Counter(index=32, acte=2)
    assert describe_added(added, ["index"]) == "34 documents added, 2 of sources that OCR_SOURCES does not name"
    assert describe_added(added, ["index", "acte"]) == "34 documents added"
