"""Every environment variable: its default, its allowed values, and how it is shown."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from notaflow_pipeline.settings import (
    Settings,
    SettingsError,
    _describe_allowed_values,
    load_settings,
    setting_origins,
    unknown_variables,
)

SECRET = "correct-horse-battery-staple"


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, and none of the settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.upper().startswith(("NOTAFLOW_", "OCR_", "SUPABASE_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_are_those_of_the_contract() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.home == Path(".notaflow")
    assert settings.documents == ".notaflow/documents"
    assert settings.worker_id == "ocr-monitor-1"
    assert settings.languages == "fra+eng"
    assert settings.sources == ("index",)
    assert settings.workers == os.cpu_count()
    assert settings.stuck_minutes == 10
    assert settings.timezone == "America/Toronto"
    assert settings.mirror_errors is True
    assert settings.exhausted_status == 3
    assert settings.partitions_start == date(2025, 10, 10)


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("NOTAFLOW_DOCUMENTS_URL", "s3://scans", "documents", "s3://scans"),
        ("NOTAFLOW_HOME", "/srv/notaflow", "home", Path("/srv/notaflow")),
        ("NOTAFLOW_HOME", "/srv/notaflow", "documents", "/srv/notaflow/documents"),
        ("NOTAFLOW_TIMEZONE", "Europe/Paris", "timezone", "Europe/Paris"),
        ("OCR_WORKER_ID", "desk-2", "worker_id", "desk-2"),
        ("OCR_LANGUAGES", "fra", "languages", "fra"),
        ("OCR_WORKERS", "3", "workers", 3),
        ("OCR_LEASE_SECONDS", "2.5", "lease", timedelta(seconds=2.5)),
        ("OCR_RETRY_BASE_SECONDS", "0", "retry_base_seconds", 0),
        ("OCR_STUCK_MINUTES", "0.5", "stuck_minutes", 0.5),
        ("OCR_MIRROR_ERRORS", "false", "mirror_errors", False),
        ("OCR_EXHAUSTED_STATUS", "4", "exhausted_status", 4),
        ("OCR_MAX_FILE_BYTES", "1000", "max_file_bytes", 1000),
        ("OCR_MAX_PAGES", "7", "max_pages", 7),
        ("OCR_MAX_PAGE_PIXELS", "1000000", "max_page_pixels", 1_000_000),
        ("OCR_PAGE_TIMEOUT_SECONDS", "1.5", "page_timeout_seconds", 1.5),
        ("OCR_DOCUMENT_TIMEOUT_SECONDS", "600", "document_timeout_seconds", 600),
        ("OCR_MAX_WORKER_BYTES", "1000000000", "max_worker_bytes", 1_000_000_000),
        ("OCR_DPI", "200", "dpi", 200),
        ("OCR_DOCUMENTS_PER_RUN", "5", "documents_per_run", 5),
        ("OCR_MAX_RUNS", "2", "max_runs", 2),
        ("OCR_MAX_REQUEUES", "0", "max_requeues", 0),
        ("OCR_REQUEUE_KINDS", "timeout, crashed", "requeue_kinds", ("timeout", "crashed")),
        ("NOTAFLOW_PARTITIONS_START", "2024-01-31", "partitions_start", date(2024, 1, 31)),
        ("NOTAFLOW_UI_URL", "https://ocr.example.org/dagster", "ui_url", "https://ocr.example.org/dagster"),
        ("NOTAFLOW_ALERT_INTERVAL_SECONDS", "5", "alert_interval_seconds", 5),
        ("NOTAFLOW_ALERT_REMINDER_INTERVAL_HOURS", "0.5", "alert_reminder_interval_hours", 0.5),
        ("NOTAFLOW_ALERT_IDLE_MINUTES", "3", "alert_idle_minutes", 3),
        ("NOTAFLOW_ALERT_STUCK_MINUTES", "3", "alert_stuck_minutes", 3),
        ("NOTAFLOW_ALERT_WAITING_HOURS", "3", "alert_waiting_hours", 3),
        ("NOTAFLOW_ALERT_EXHAUSTED_DOCUMENTS", "3", "alert_exhausted_documents", 3),
        ("NOTAFLOW_ALERT_EXHAUSTED_HOURS", "0", "alert_exhausted_hours", 0),
        ("NOTAFLOW_ALERT_ATTEMPT_FAILURE_RATE", "0.3", "alert_attempt_failure_rate", 0.3),
        ("NOTAFLOW_ALERT_DOCUMENT_FAILURE_RATE", "0.3", "alert_document_failure_rate", 0.3),
        ("NOTAFLOW_ALERT_DEVIATIONS", "5", "alert_deviations", 5),
        ("NOTAFLOW_ALERT_MIN_DOCUMENTS", "30", "alert_min_documents", 30),
        ("OCR_SOURCES", "index,acte", "sources", ("index", "acte")),
        ("OCR_SOURCES", " acte , index, acte,", "sources", ("acte", "index")),
    ],
)
def test_each_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(load_settings(), field) == expected


def test_secrets_are_read_and_not_shown_by_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", f"postgresql://notaflow:{SECRET}@db/notaflow")
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", SECRET)
    settings = load_settings()
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == f"postgresql://notaflow:{SECRET}@db/notaflow"
    assert settings.supabase_service_key is not None
    assert settings.supabase_service_key.get_secret_value() == SECRET
    assert SECRET not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NOTAFLOW_TIMEZONE", "America/Trois-Rivieres"),
        ("NOTAFLOW_TIMEZONE", "../../etc/passwd"),
        ("OCR_WORKER_ID", "x" * 201),
        ("OCR_LANGUAGES", "fra eng"),
        ("OCR_LANGUAGES", "fra+"),
        ("OCR_LANGUAGES", "--oem"),
        ("OCR_WORKERS", "0"),
        ("OCR_WORKERS", "many"),
        ("OCR_LEASE_SECONDS", "0"),
        ("OCR_LEASE_SECONDS", "nan"),
        ("OCR_RETRY_BASE_SECONDS", "-1"),
        ("OCR_STUCK_MINUTES", "0"),
        ("OCR_STUCK_MINUTES", "nan"),
        ("OCR_MIRROR_ERRORS", "perhaps"),
        ("OCR_EXHAUSTED_STATUS", "5"),
        ("OCR_EXHAUSTED_STATUS", "error"),
        ("OCR_MAX_FILE_BYTES", "0"),
        ("OCR_MAX_PAGES", "-1"),
        ("OCR_MAX_PAGE_PIXELS", "0"),
        ("OCR_PAGE_TIMEOUT_SECONDS", "0"),
        ("OCR_DOCUMENT_TIMEOUT_SECONDS", "0"),
        ("OCR_MAX_WORKER_BYTES", "1000000"),
        ("OCR_DPI", "69"),
        ("OCR_DOCUMENTS_PER_RUN", "0"),
        ("OCR_MAX_RUNS", "0"),
        ("NOTAFLOW_RUN_RETENTION_DAYS", "1"),
        ("NOTAFLOW_OCR_RUN_RETENTION_DAYS", "0"),
        ("NOTAFLOW_ATTEMPT_RETENTION_DAYS", "29"),
        ("OCR_MAX_REQUEUES", "-1"),
        ("NOTAFLOW_PARTITIONS_START", "yesterday"),
        ("NOTAFLOW_UI_URL", "ocr.example.org"),
        ("NOTAFLOW_ALERT_INTERVAL_SECONDS", "1"),
        ("NOTAFLOW_ALERT_REMINDER_INTERVAL_HOURS", "0"),
        ("NOTAFLOW_ALERT_IDLE_MINUTES", "-1"),
        ("NOTAFLOW_ALERT_ATTEMPT_FAILURE_RATE", "20"),
        ("NOTAFLOW_ALERT_DOCUMENT_FAILURE_RATE", "nan"),
        ("NOTAFLOW_ALERT_DEVIATIONS", "0"),
        ("OCR_SOURCES", "index,plan_cadastraux"),
        ("OCR_SOURCES", "plan_cadastraux"),
        ("OCR_SOURCES", "deeds"),
        ("OCR_SOURCES", ","),
    ],
)
def test_wrong_value_is_an_error_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_error_does_not_repeat_the_secrets_beside_the_wrong_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", f"postgresql://notaflow:{SECRET}@db/notaflow")
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", SECRET)
    monkeypatch.setenv("OCR_WORKERS", "many")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_WORKERS", "many")
    monkeypatch.setenv("OCR_DPI", "low")
    with pytest.raises(SettingsError, match=r"OCR_WORKERS.*OCR_DPI"):
        load_settings()


def test_empty_variable_means_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_WORKER_ID", "")
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", "")
    settings = load_settings()
    assert settings.worker_id == "ocr-monitor-1"
    assert settings.database_url is None


def test_env_file_is_read_and_the_environment_overrides_it(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone / ".env").write_text("OCR_WORKER_ID=from-file\nOCR_LANGUAGES=fra\nSOMEBODY_ELSES=thing\n")
    monkeypatch.setenv("OCR_WORKER_ID", "from-environment")
    settings = load_settings()
    assert settings.worker_id == "from-environment"
    assert settings.languages == "fra"


def test_settings_do_not_change_once_read() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.worker_id = "another"  # type: ignore[misc]


def test_origins_show_every_setting_and_where_it_came_from(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone / ".env").write_text("OCR_WORKER_ID=from-file\nOCR_LANGUAGES=fra\nOCR_DPI=\n")
    monkeypatch.setenv("OCR_LANGUAGES", "eng")
    monkeypatch.setenv("OCR_SOURCES", "index,acte")
    shown = {one.variable: (one.value, one.origin) for one in setting_origins(load_settings())}
    assert shown.keys() == {str(field.validation_alias) for field in Settings.model_fields.values()}
    assert shown["OCR_WORKER_ID"] == ("from-file", ".env")
    assert shown["OCR_LANGUAGES"] == ("eng", "environment")
    assert shown["OCR_SOURCES"] == ("index,acte", "environment")
    assert shown["OCR_DPI"] == ("300", "default")
    assert shown["NOTAFLOW_DATABASE_URL"] == ("", "default")


def test_origins_hide_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", f"postgresql://notaflow:{SECRET}@db/notaflow")
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", SECRET)
    monkeypatch.setenv("NOTAFLOW_ALERT_URLS", f"mailto://u:{SECRET}@example.org")
    everything = list(setting_origins(load_settings()))
    shown = {one.variable: (one.value, one.origin) for one in everything}
    assert shown["NOTAFLOW_DATABASE_URL"] == ("***", "environment")
    assert shown["SUPABASE_SERVICE_KEY"] == ("***", "environment")
    assert shown["NOTAFLOW_ALERT_URLS"] == ("***", "environment")
    assert SECRET not in repr(everything)


def test_origins_hide_a_password_in_the_documents_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DOCUMENTS_URL", f"https://user:{SECRET}@project.supabase.co")
    assert SECRET not in repr(list(setting_origins(load_settings())))


@pytest.mark.parametrize(
    ("variable", "value", "takes"),
    [
        ("OCR_WORKERS", "many", "a whole number of at least 1 and at most 512, such as "),
        ("OCR_LEASE_SECONDS", "0", "a number of at least 0.5 and at most 86,400, such as 120"),
        ("OCR_STUCK_MINUTES", "0", "a number of more than 0 and at most 525,600, such as 10"),
        ("OCR_MIRROR_ERRORS", "perhaps", "true or false"),
        ("OCR_ENGINE", "abbyy", "one of auto, "),
        ("OCR_EXHAUSTED_STATUS", "5", "one of 3, 4"),
        ("OCR_LANGUAGES", "fra eng", "Tesseract's codes of languages joined by +, such as fra+eng"),
        ("OCR_SOURCES", "deeds", "index, acte, or both separated by a comma, such as index,acte"),
        ("NOTAFLOW_PARTITIONS_START", "yesterday", "a date from 2000-01-01 to today, such as 2025-10-10"),
        ("NOTAFLOW_PARTITIONS_START", "9999-12-31", "a date from 2000-01-01 to today"),
        ("NOTAFLOW_PARTITIONS_START", "0001-01-01", "a date from 2000-01-01 to today"),
        ("OCR_REQUEUE_KINDS", "timeoutt", "kinds of failure separated by commas, such as timeout,crashed"),
        ("NOTAFLOW_TIMEZONE", "Montreal", "the name of a time zone, such as America/Toronto or Europe/Paris"),
        ("NOTAFLOW_UI_URL", "ocr.example.org", "a URL, such as http://127.0.0.1:3000"),
        ("NOTAFLOW_ATTEMPT_RETENTION_DAYS", "29", "a whole number of at least 30 and at most 36,500, such as 30"),
    ],
)
def test_error_names_variable_value_and_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, takes: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value).startswith(f"{variable}={value} cannot be used: it takes {takes}")


NUMBERS = [str(one.validation_alias) for one in Settings.model_fields.values() if one.annotation in (int, float)]


@pytest.mark.parametrize("variable", NUMBERS)
@pytest.mark.parametrize("value", ["inf", "1e300", "9" * 30])
def test_number_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """It would overflow where it becomes a duration or a value of the database."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_every_setting_has_a_description_of_its_values() -> None:
    free_text = {
        "database_url",
        "owner_database_url",
        "documents_url",
        "supabase_service_key",
        "alert_urls",
    }
    for name in Settings.model_fields.keys() - free_text:
        described = _describe_allowed_values(name)
        assert "such as" in described or described.startswith(("one of", "true")), name
        assert " of , " not in described, name


@pytest.mark.parametrize("home", ["file", "file/below"])
def test_home_that_is_a_file_is_refused(alone: Path, monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    (alone / "file").touch()
    monkeypatch.setenv("NOTAFLOW_HOME", home)
    with pytest.raises(SettingsError, match=f"NOTAFLOW_HOME={home} cannot be used: it takes a folder"):
        load_settings()


def test_misspelt_variables_are_named_with_the_nearest_setting(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_WORKRES", "3")
    monkeypatch.setenv("NOTAFLOW_CORPUS", "/corpus")
    monkeypatch.setenv("OCR_SERVER", "elsewhere")
    (alone / ".env").write_text("NOTAFLOW_DATABSE_URL=postgresql://db\nOCR_WORKERS=2\n")
    assert [(one.name, one.nearest) for one in unknown_variables()] == [
        ("NOTAFLOW_DATABSE_URL", "NOTAFLOW_DATABASE_URL"),
        ("OCR_SERVER", None),
        ("OCR_WORKRES", "OCR_WORKERS"),
    ]
    assert str(unknown_variables()[2]) == "OCR_WORKRES is not a setting and is ignored; did you mean OCR_WORKERS?"
