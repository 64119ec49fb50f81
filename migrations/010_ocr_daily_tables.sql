-- depends: 009_ocr_views
-- Creates the daily tables for SQL users and alerts: one row per day and source, and 'all' for the sum.

SET LOCAL lock_timeout = '5s';

CREATE TABLE IF NOT EXISTS ocr_daily_performance (
    day DATE NOT NULL,
    document_source TEXT NOT NULL,
    documents INTEGER NOT NULL,
    pages BIGINT NOT NULL,
    characters BIGINT NOT NULL,
    duration_seconds_avg DOUBLE PRECISION,
    duration_seconds_min DOUBLE PRECISION,
    duration_seconds_p50 DOUBLE PRECISION,
    duration_seconds_p95 DOUBLE PRECISION,
    duration_seconds_max DOUBLE PRECISION,
    wait_seconds_p50 DOUBLE PRECISION,
    wait_seconds_p95 DOUBLE PRECISION,
    attempts_avg DOUBLE PRECISION,
    pages_per_minute DOUBLE PRECISION,
    mean_confidence DOUBLE PRECISION,
    low_confidence_documents INTEGER NOT NULL,
    PRIMARY KEY (day, document_source)
);

CREATE TABLE IF NOT EXISTS ocr_daily_failure_rate (
    day DATE NOT NULL,
    document_source TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    attempts_failed INTEGER NOT NULL,
    attempts_stuck INTEGER NOT NULL,
    attempt_failure_rate DOUBLE PRECISION,
    documents_finished INTEGER NOT NULL,
    documents_exhausted INTEGER NOT NULL,
    document_failure_rate DOUBLE PRECISION,
    failure_rate_low DOUBLE PRECISION,
    failure_rate_high DOUBLE PRECISION,
    PRIMARY KEY (day, document_source)
);

CREATE TABLE IF NOT EXISTS ocr_daily_failures_by_kind (
    day DATE NOT NULL,
    document_source TEXT NOT NULL,
    failure_kind TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    PRIMARY KEY (day, document_source, failure_kind)
);
