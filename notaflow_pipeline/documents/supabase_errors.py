"""Maps error responses of Supabase Storage to failures of the document or of the storage.

Source: https://github.com/supabase/storage, src/internal/errors/codes.ts and src/http/error-handler.ts. The real status is
in `statusCode` in the body of an HTTP 400, and older versions have no `code`.
"""

import json
import re
from dataclasses import dataclass

import httpx

from notaflow_pipeline.documents.download import document_or_bucket_failure, not_found_failure
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.failures import FailureKind

MAX_ERROR_BYTES = 64 * 1024

_NAME = re.compile(r"[A-Za-z][A-Za-z_ ]{0,39}")  # a longer text could repeat the request with its key
_STATUS = re.compile(r"[1-9][0-9]{2}")
_KEY_PROBLEMS = frozenset({"Unauthorized", "AccessDenied", "InvalidJWT", "InvalidSignature", "SignatureDoesNotMatch"})
_NAME_PROBLEMS = frozenset({"InvalidKey", "InvalidBucketName"})


@dataclass(frozen=True)
class ErrorResponse:
    """An error response: Supabase's status, and the short names of the error."""

    status: int
    names: frozenset[str]

    @property
    def is_missing_bucket(self) -> bool:
        """Whether the bucket does not exist."""
        return not self.names.isdisjoint({"NoSuchBucket", "Bucket not found"})

    @property
    def is_existing_bucket(self) -> bool:
        """Whether a bucket could not be created because it exists."""
        return self.status == httpx.codes.CONFLICT


def error_of(response: httpx.Response) -> ErrorResponse | None:
    """Return the error of a response, from the first 64 KiB of its body; None for a success."""
    if response.status_code == httpx.codes.OK:
        return None
    body = b""
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MAX_ERROR_BYTES:
            break
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        error = None
    if not isinstance(error, dict):
        error = {}
    status = str(error.get("statusCode", ""))
    words = [str(error.get(field, "")) for field in ("code", "error", "message")]
    return ErrorResponse(
        status=int(status) if _STATUS.fullmatch(status) else response.status_code,
        names=frozenset(word for word in words if _NAME.fullmatch(word)),
    )


def document_failure(
    problem: ErrorResponse, location: Location, description: str
) -> DocumentUnavailable | StorageUnavailable:
    """Return the failure that `problem` means for a document of the storage `description`.

    A 404 means a missing document: `check` detects a URL without a Storage API.
    """
    if problem.is_missing_bucket:
        return document_or_bucket_failure(location, description)
    if problem.status == httpx.codes.NOT_FOUND:
        return not_found_failure(location)
    if problem.status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return DocumentUnavailable(
            FailureKind.TOO_LARGE, f"The storage refuses the size of {location}. Raise the bucket's limit."
        )
    if not problem.names.isdisjoint(_NAME_PROBLEMS):
        return DocumentUnavailable(
            FailureKind.REFUSED_LOCATION, f"The storage refuses the name {location}. Correct supabase_path."
        )
    return storage_failure(problem, description)


def storage_failure(problem: ErrorResponse, description: str) -> StorageUnavailable:
    """Return the failure that `problem` means for every document."""
    if problem.status in {401, 403} or not problem.names.isdisjoint(_KEY_PROBLEMS):
        return StorageUnavailable(
            f"{description} refuses the key. Set SUPABASE_SERVICE_KEY to the service key of this project."
        )
    if 300 <= problem.status < 400:
        return StorageUnavailable(
            f"{description} redirects to another address, to which the key is not sent. Set the project's own URL."
        )
    names = f" ({', '.join(sorted(problem.names))})" if problem.names else ""
    return StorageUnavailable(
        f"{description} answers {problem.status}{names}. "
        "Check that the URL is the project's, and see the project's status and logs."
    )
