"""What does Supabase Storage mean by an answer, and whose fault is it?

How it words its errors: https://github.com/supabase/storage, src/internal/errors/codes.ts, src/http/error-handler.ts.
The status proper travels as `statusCode` in the body of an HTTP 400, and older versions leave `code` out.
"""

import json
import re
from dataclasses import dataclass

import httpx

from notaflow_pipeline.documents.download import bucket_missing, not_found
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.failures import FailureKind

MAX_ERROR_BYTES = 64 * 1024

_NAME = re.compile(r"[A-Za-z][A-Za-z_ ]{0,39}")  # a longer text could repeat what was sent, key included
_STATUS = re.compile(r"[1-9][0-9]{2}")
_KEY_PROBLEMS = frozenset({"Unauthorized", "AccessDenied", "InvalidJWT", "InvalidSignature", "SignatureDoesNotMatch"})
_NAME_PROBLEMS = frozenset({"InvalidKey", "InvalidBucketName"})


@dataclass(frozen=True)
class Problem:
    """What an answer other than success says: Supabase's own status, and the short names that it gives the error."""

    status: int
    names: frozenset[str]

    @property
    def is_missing_bucket(self) -> bool:
        """Whether there is no such bucket."""
        return not self.names.isdisjoint({"NoSuchBucket", "Bucket not found"})

    @property
    def is_existing_bucket(self) -> bool:
        """Whether a bucket could not be created because it is there."""
        return self.status == httpx.codes.CONFLICT


def problem_in(answer: httpx.Response) -> Problem | None:
    """Return what is wrong, from the first part of the answer's body; None if the answer is a success."""
    if answer.status_code == httpx.codes.OK:
        return None
    body = b""
    for chunk in answer.iter_raw():
        body += chunk
        if len(body) > MAX_ERROR_BYTES:
            break
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        said = {}
    status = str(said.get("statusCode", ""))
    words = [str(said.get(field, "")) for field in ("code", "error", "message")]
    return Problem(
        status=int(status) if _STATUS.fullmatch(status) else answer.status_code,
        names=frozenset(word for word in words if _NAME.fullmatch(word)),
    )


def document_failure(
    problem: Problem, location: Location, description: str
) -> DocumentUnavailable | StorageUnavailable:
    """Return the failure that `problem` means when a document was asked of the storage `description`.

    Every 404 is the document's: `check` notices a URL at which there is no Storage API at all.
    """
    if problem.is_missing_bucket:
        return bucket_missing(location, description)
    if problem.status == httpx.codes.NOT_FOUND:
        return not_found(location)
    if problem.status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return DocumentUnavailable(
            FailureKind.TOO_LARGE, f"The storage refuses the size of {location}. Raise the bucket's limit."
        )
    if not problem.names.isdisjoint(_NAME_PROBLEMS):
        return DocumentUnavailable(
            FailureKind.REFUSED_LOCATION, f"The storage refuses the name {location}. Correct supabase_path."
        )
    return storage_failure(problem, description)


def storage_failure(problem: Problem, description: str) -> StorageUnavailable:
    """Return the failure that `problem` means for every document."""
    if problem.status in {401, 403} or not problem.names.isdisjoint(_KEY_PROBLEMS):
        return StorageUnavailable(
            f"{description} refuses the key. Set SUPABASE_SERVICE_KEY to the service key of this project."
        )
    if 300 <= problem.status < 400:
        return StorageUnavailable(
            f"{description} redirects elsewhere, and the key is sent nowhere else. Set the project's own URL."
        )
    names = f" ({', '.join(sorted(problem.names))})" if problem.names else ""
    return StorageUnavailable(
        f"{description} answers {problem.status}{names}. "
        "Check that the URL is the project's, and see the project's status and logs."
    )
