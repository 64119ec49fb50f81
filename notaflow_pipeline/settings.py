"""Reads the settings from environment variables: names, types, defaults, limits, and where a value came from.

No other module reads these variables.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from notaflow_pipeline.failures import FailureKind

SourceName = Literal["index", "acte"]

OUR_PREFIXES = ("OCR_", "NOTAFLOW_")

FIRST_DAY = date(2000, 1, 1)
"""The earliest first day of the daily tables."""

VARIABLES_OF_OTHER_PROGRAMS = frozenset(
    {
        *("NOTAFLOW_IMAGE", "NOTAFLOW_ENV_FILE", "NOTAFLOW_UI_PORT", "NOTAFLOW_HTTPS_PORT", "NOTAFLOW_COMPUTE_LOGS"),
        *("NOTAFLOW_CORPUS", "NOTAFLOW_TEST_DATABASE_URL", "NOTAFLOW_TEST_ROLE", "NOTAFLOW_TEST_POOLER"),
    }
)
"""Variables with our prefixes that Compose, benchmarks and tests read (docs/settings.md)."""

ALLOWED_VALUES = {
    "home": "a folder, or a path where one can be created, such as .notaflow",
    "timezone": "the name of a time zone, such as America/Toronto or Europe/Paris",
    "worker_id": "a name of 1 to 200 characters, such as ocr-monitor-1",
    "languages": "Tesseract's codes of languages joined by +, such as fra+eng",
    "sources": "index, acte, or both separated by a comma, such as index,acte",
    "ui_url": "a URL, such as http://127.0.0.1:3000",
    "requeue_kinds": f"kinds of failure separated by commas, such as timeout,crashed: {', '.join(FailureKind)}",
    "partitions_start": "a date from 2000-01-01 to today, such as 2025-10-10",
}
"""The allowed values of settings whose type and limits do not say them."""


class SettingsError(Exception):
    """A setting is invalid; the message names the variable and says what is allowed."""


class Settings(BaseSettings):
    """Settings of the pipeline, from the environment, then `.env` in the current folder, then the defaults here."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    database_url: SecretStr | None = Field(None, validation_alias="NOTAFLOW_DATABASE_URL")
    owner_database_url: SecretStr | None = Field(None, validation_alias="NOTAFLOW_OWNER_DATABASE_URL")
    documents_url: str | None = Field(None, validation_alias="NOTAFLOW_DOCUMENTS_URL")
    supabase_service_key: SecretStr | None = Field(None, validation_alias="SUPABASE_SERVICE_KEY")
    home: Path = Field(Path(".notaflow"), validation_alias="NOTAFLOW_HOME")
    timezone: str = Field("America/Toronto", validation_alias="NOTAFLOW_TIMEZONE")

    worker_id: str = Field("ocr-monitor-1", validation_alias="OCR_WORKER_ID", min_length=1, max_length=200)
    languages: str = Field("fra+eng", validation_alias="OCR_LANGUAGES", pattern=r"^[A-Za-z_]+(\+[A-Za-z_]+)*$")
    engine: Literal["auto", "onnx", "tesserocr", "pytesseract"] = Field("auto", validation_alias="OCR_ENGINE")
    sources: Annotated[tuple[SourceName, ...], NoDecode] = Field(("index",), validation_alias="OCR_SOURCES")
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, validation_alias="OCR_WORKERS", ge=1, le=512)

    lease_seconds: float = Field(120, validation_alias="OCR_LEASE_SECONDS", ge=0.5, le=86_400)
    retry_base_seconds: float = Field(30, validation_alias="OCR_RETRY_BASE_SECONDS", ge=0, le=86_400)
    stuck_minutes: float = Field(10, validation_alias="OCR_STUCK_MINUTES", gt=0, le=525_600)
    mirror_errors: bool = Field(True, validation_alias="OCR_MIRROR_ERRORS")
    exhausted_status: Literal[3, 4] = Field(3, validation_alias="OCR_EXHAUSTED_STATUS")

    max_file_bytes: int = Field(2 * 1024**3, validation_alias="OCR_MAX_FILE_BYTES", gt=0, le=2**40)
    max_pages: int = Field(500, validation_alias="OCR_MAX_PAGES", gt=0, le=100_000)
    max_page_pixels: int = Field(150_000_000, validation_alias="OCR_MAX_PAGE_PIXELS", gt=0, le=10**10)
    max_worker_bytes: int = Field(2 * 1024**3, validation_alias="OCR_MAX_WORKER_BYTES", ge=256 * 1024**2, le=2**40)
    # CPU seconds, so that a busy machine reads what a quiet one does
    page_timeout_seconds: float = Field(120, validation_alias="OCR_PAGE_TIMEOUT_SECONDS", gt=0, le=86_400)
    document_timeout_seconds: float = Field(7200, validation_alias="OCR_DOCUMENT_TIMEOUT_SECONDS", gt=0, le=604_800)
    dpi: int = Field(300, validation_alias="OCR_DPI", ge=70, le=1200)

    max_requeues: int = Field(2, validation_alias="OCR_MAX_REQUEUES", ge=0, le=1000)
    requeue_kinds: Annotated[tuple[FailureKind, ...], NoDecode] = Field((), validation_alias="OCR_REQUEUE_KINDS")
    partitions_start: date = Field(date(2025, 10, 10), validation_alias="NOTAFLOW_PARTITIONS_START")

    low_confidence: float = Field(60, validation_alias="OCR_LOW_CONFIDENCE", ge=0, le=100)
    low_coverage: float = Field(0.7, validation_alias="OCR_LOW_COVERAGE", ge=0, le=1)
    run_retention_days: int = Field(30, validation_alias="NOTAFLOW_RUN_RETENTION_DAYS", ge=2, le=36_500)
    ocr_run_retention_days: int = Field(90, validation_alias="NOTAFLOW_OCR_RUN_RETENTION_DAYS", ge=2, le=36_500)
    attempt_retention_days: int | None = Field(
        None, validation_alias="NOTAFLOW_ATTEMPT_RETENTION_DAYS", ge=30, le=36_500
    )

    documents_per_run: int = Field(200, validation_alias="OCR_DOCUMENTS_PER_RUN", ge=1, le=10_000)
    max_runs: int = Field(1, validation_alias="OCR_MAX_RUNS", ge=1, le=1000)

    ui_url: str = Field("http://127.0.0.1:3000", validation_alias="NOTAFLOW_UI_URL", pattern=r"^https?://\S+$")
    alert_urls: SecretStr | None = Field(None, validation_alias="NOTAFLOW_ALERT_URLS")
    alert_interval_seconds: int = Field(60, validation_alias="NOTAFLOW_ALERT_INTERVAL_SECONDS", ge=5, le=3600)
    alert_reminder_interval_hours: float = Field(
        24, validation_alias="NOTAFLOW_ALERT_REMINDER_INTERVAL_HOURS", gt=0, le=8760
    )
    alert_idle_minutes: float = Field(15, validation_alias="NOTAFLOW_ALERT_IDLE_MINUTES", ge=0, le=525_600)
    alert_stuck_minutes: float = Field(15, validation_alias="NOTAFLOW_ALERT_STUCK_MINUTES", ge=0, le=525_600)
    alert_waiting_hours: float = Field(24, validation_alias="NOTAFLOW_ALERT_WAITING_HOURS", gt=0, le=87_600)
    alert_exhausted_documents: int = Field(0, validation_alias="NOTAFLOW_ALERT_EXHAUSTED_DOCUMENTS", ge=0, le=10**9)
    alert_exhausted_hours: float = Field(24, validation_alias="NOTAFLOW_ALERT_EXHAUSTED_HOURS", ge=0, le=87_600)
    alert_attempt_failure_rate: float = Field(0.2, validation_alias="NOTAFLOW_ALERT_ATTEMPT_FAILURE_RATE", ge=0, le=1)
    alert_document_failure_rate: float = Field(0.1, validation_alias="NOTAFLOW_ALERT_DOCUMENT_FAILURE_RATE", ge=0, le=1)
    alert_deviations: float = Field(4, validation_alias="NOTAFLOW_ALERT_DEVIATIONS", gt=0, le=1000)
    alert_min_documents: int = Field(10, validation_alias="NOTAFLOW_ALERT_MIN_DOCUMENTS", ge=1, le=10**6)

    @field_validator("sources", "requeue_kinds", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        """Split a comma-separated list."""
        if isinstance(value, str):
            return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        return value

    @field_validator("exhausted_status", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        """Convert text to a number, which pydantic does not do for literals."""
        return int(value) if isinstance(value, str) and value.isdigit() else value

    @field_validator("sources")
    @classmethod
    def _require_a_source(cls, value: tuple[SourceName, ...]) -> tuple[SourceName, ...]:
        if not value:
            raise ValueError("at least one source is needed")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as unknown:
            raise ValueError("unknown time zone") from unknown
        return value

    @field_validator("partitions_start")
    @classmethod
    def _past_day(cls, value: date) -> date:
        """Refuse days that would leave Dagster without a partition, or with thousands of empty ones."""
        if not FIRST_DAY <= value <= datetime.now(UTC).date():
            raise ValueError("not a past day")
        return value

    @field_validator("home")
    @classmethod
    def _no_regular_file(cls, value: Path) -> Path:
        nearest = next((one for one in (value, *value.parents) if one.exists()), value)
        if nearest.exists() and not nearest.is_dir():
            raise ValueError("a file")
        return value

    @property
    def lease(self) -> timedelta:
        """How long a claim holds without a renewal."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def documents(self) -> str:
        """URL or folder of the documents: the configured one, or a folder in the home."""
        return self.documents_url or str(self.home / "documents")


def load_settings() -> Settings:
    """Read the settings from the environment and `.env`.

    Raises:
        SettingsError: a variable has a value that it does not take. The message names the variable, what it takes and an
            example; it never repeats a secret.
    """
    try:
        return Settings()
    except ValidationError as invalid:
        problems = dict.fromkeys(
            _describe_invalid(str(problem["loc"][0]), problem["input"]) for problem in invalid.errors()
        )
        raise SettingsError("; ".join(problems)) from None


def _describe_invalid(variable: str, value: object) -> str:
    """Return which variable cannot be used, its value unless it is secret, and what it takes."""
    name = next(name for name, field in Settings.model_fields.items() if field.validation_alias == variable)
    written = os.environ.get(variable) or dotenv_values(".env").get(variable) or value
    shown = "" if "Secret" in str(Settings.model_fields[name].annotation) else f"={str(written)[:80]}"
    return f"{variable}{shown} cannot be used: it takes {_describe_allowed_values(name)}"


def _describe_allowed_values(name: str) -> str:
    """Return in words what a setting takes, with an example."""
    field = Settings.model_fields[name]
    if name in ALLOWED_VALUES:
        return ALLOWED_VALUES[name]
    annotation: Any = field.annotation
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(str(one) for one in get_args(annotation))}"
    if annotation is bool:
        return "true or false"
    example = field.get_default(call_default_factory=True, validated_data={})
    number = "a whole number" if annotation is int or int in get_args(annotation) else "a number"
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    limits = " and ".join(
        f"{words[bound]} {getattr(one, bound):,}" for one in field.metadata for bound in words if hasattr(one, bound)
    )
    return f"{number} of {limits}, such as {30 if example is None else example}"


@dataclass(frozen=True)
class UnknownVariable:
    """A variable with our prefix that is no setting, and the setting that was probably meant."""

    name: str
    nearest: str | None

    def __str__(self) -> str:
        """Return what a person should do about it."""
        return f"{self.name} is not a setting and is ignored" + (
            f"; did you mean {self.nearest}?" if self.nearest else ""
        )


def unknown_variables() -> list[UnknownVariable]:
    """Return the variables of the environment and of `.env` that begin like ours and are none of the settings."""
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    present = {
        name.upper() for name in (*os.environ, *_variables_in_env_file()) if name.upper().startswith(OUR_PREFIXES)
    }
    return [
        UnknownVariable(name, next(iter(get_close_matches(name, known, n=1, cutoff=0.8)), None))
        for name in sorted(present - known - VARIABLES_OF_OTHER_PROGRAMS)
    ]


@dataclass(frozen=True)
class SettingOrigin:
    """One setting, for `notaflow doctor`."""

    variable: str
    value: str
    origin: Literal["environment", ".env", "default"]


def setting_origins(settings: Settings) -> Iterator[SettingOrigin]:
    """Yield every setting with its value (secrets as ``***``) and its origin."""
    in_file = _variables_in_env_file()
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias)
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            shown = "***"
        elif name == "documents_url":
            shown = re.sub(r"//[^/]*@", "//***@", value or "")
        elif isinstance(value, tuple):
            shown = ",".join(value)
        else:
            shown = "" if value is None else str(value)
        if os.environ.get(variable):
            yield SettingOrigin(variable, shown, "environment")
        elif variable in in_file:
            yield SettingOrigin(variable, shown, ".env")
        else:
            yield SettingOrigin(variable, shown, "default")


def _variables_in_env_file() -> set[str]:
    return {name for name, value in dotenv_values(".env").items() if value}
