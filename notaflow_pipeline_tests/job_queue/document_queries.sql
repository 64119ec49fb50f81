SELECT id, document_number, ocr_attempts, ocr_max_attempts, created_at
FROM extraction_queue
WHERE status_id = 3 
  AND document_source = 'index'
  AND file_content IS NULL
  AND (ocr_attempts IS NULL OR ocr_attempts < ocr_max_attempts)
ORDER BY created_at ASC;

SELECT id, document_number, ocr_worker_id, ocr_started_at, 
       EXTRACT(EPOCH FROM (NOW() - ocr_started_at)) as duration_seconds
FROM extraction_queue
WHERE status_id = 6
ORDER BY ocr_started_at ASC;

SELECT id, document_number, ocr_worker_id, ocr_started_at,
       EXTRACT(EPOCH FROM (NOW() - ocr_started_at)) as duration_seconds
FROM extraction_queue
WHERE status_id = 6
  AND ocr_started_at < NOW() - INTERVAL '10 minutes'
ORDER BY ocr_started_at ASC;

SELECT id, document_number, ocr_attempts, ocr_max_attempts, 
       ocr_error, ocr_last_error_at
FROM extraction_queue
WHERE ocr_attempts >= ocr_max_attempts
  AND file_content IS NULL
ORDER BY ocr_last_error_at DESC;

SELECT 
  COUNT(*) as total_ocr_jobs,
  AVG(EXTRACT(EPOCH FROM (ocr_completed_at - ocr_started_at))) as avg_duration_seconds,
  MIN(EXTRACT(EPOCH FROM (ocr_completed_at - ocr_started_at))) as min_duration_seconds,
  MAX(EXTRACT(EPOCH FROM (ocr_completed_at - ocr_started_at))) as max_duration_seconds,
  AVG(ocr_attempts) as avg_attempts
FROM extraction_queue
WHERE ocr_completed_at IS NOT NULL
  AND ocr_started_at IS NOT NULL;
