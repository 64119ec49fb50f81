"""Reads a document again for a person who looks at it; nothing is recorded, and its row is not claimed."""

from notaflow_pipeline.documents.download import write_failure
from notaflow_pipeline.documents.location import locate
from notaflow_pipeline.documents.storage import fetch_to_private_folder
from notaflow_pipeline.job_queue.model import ExtractionQueueJob
from notaflow_pipeline.ocr.document import DocumentText
from notaflow_pipeline.scratch_directory import ScratchDirectory
from notaflow_pipeline.settings import Settings
from notaflow_pipeline.worker.assembly import configured_document_pool, configured_storage


def read_pages(settings: Settings, job: ExtractionQueueJob, pages: range) -> DocumentText:
    """Fetch a document and read these pages with the settings of every worker, each with its view.

    Raises:
        DocumentUnavailable, StorageUnavailable, StorageMisconfigured: it cannot be fetched.
        DocumentFailure: it cannot be read.
        EngineUnavailable: nothing can be read here.
    """
    storage = configured_storage(settings)
    location = locate(job.supabase_path, job.document_source or "", storage.host)
    document_pool = configured_document_pool(settings.model_copy(update={"workers": min(settings.workers, len(pages))}))
    document_pool.check()
    try:
        folder = ScratchDirectory()
    except OSError as error:
        raise write_failure(error) from error
    try:
        path = fetch_to_private_folder(storage, location, settings.max_file_bytes, folder.path)
        with document_pool:
            return document_pool.start(path, views_of=pages).result()
    finally:
        folder.remove()
