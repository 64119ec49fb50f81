SET lock_timeout = '5s';

ALTER TABLE ocr_attempt
    DROP COLUMN IF EXISTS worker_instance;
