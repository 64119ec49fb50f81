"""Maps error codes of S3 to failures of the document or of the storage.

The codes are those of AWS (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html) and a few of MinIO.
"""

from botocore.exceptions import ClientError, ParamValidationError

from notaflow_pipeline.documents.download import document_or_bucket_failure, not_found_failure
from notaflow_pipeline.documents.failures import DocumentUnavailable, StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.failures import FailureKind

MISSING_BUCKET = "NoSuchBucket"
EXISTING_BUCKET = frozenset({"BucketAlreadyOwnedByYou", "BucketAlreadyExists"})

_INVALID_BUCKET = "InvalidBucketName"
_MISSING_OBJECT = frozenset({"NoSuchKey", "NotFound", "404"})
_KEY_TOO_LONG_OR_ODD = frozenset({"KeyTooLongError", "InvalidObjectName", "XMinioInvalidObjectName", "InvalidURI"})
_CREDENTIALS = frozenset(
    {"AccessDenied", "401", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
)


def error_code(error: ClientError | ParamValidationError) -> str:
    """Return the code of the response, or the code for what boto3 refuses before it sends a request."""
    if isinstance(error, ParamValidationError):
        return _INVALID_BUCKET  # the only argument that boto3 validates
    return str(error.response.get("Error", {}).get("Code", "without a code"))


def document_failure(
    code: str, location: Location, description: str, *, bucket_from_row: bool
) -> DocumentUnavailable | StorageUnavailable:
    """Return the failure that `code` means for a document; `bucket_from_row` says where the bucket's name comes from."""
    if code in _MISSING_OBJECT:
        return not_found_failure(location)
    if bucket_from_row and code == MISSING_BUCKET:
        return document_or_bucket_failure(location, description)
    if code in _KEY_TOO_LONG_OR_ODD or (bucket_from_row and code == _INVALID_BUCKET):
        return DocumentUnavailable(
            FailureKind.REFUSED_LOCATION, f"The storage refuses the name {location}. Correct supabase_path."
        )
    if code == "EntityTooLarge":
        return DocumentUnavailable(
            FailureKind.TOO_LARGE, f"The storage refuses the size of {location}. Raise its limit."
        )
    return storage_failure(code, description)


def storage_failure(code: str, description: str) -> StorageUnavailable:
    """Return the failure that `code` means for every document."""
    if code in _CREDENTIALS:
        return StorageUnavailable(
            f"{description} refuses the credentials ({code}). Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and "
            "that they may list and read: without s3:ListBucket, S3 gives this answer for every missing document."
        )
    if code == MISSING_BUCKET:
        return StorageUnavailable(f"{description} does not exist. Create the bucket, or correct the documents' URL.")
    return StorageUnavailable(
        f"{description} answers {code}. Check the bucket's name, the region and the store's status."
    )
