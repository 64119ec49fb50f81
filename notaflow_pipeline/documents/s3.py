"""Reads and stores documents in S3 or a compatible store (MinIO, R2, Supabase's S3 endpoint).

Imported only when an `s3://` URL is opened, because boto3 takes 0.3 s to import. Credentials come from the usual `AWS_*`
environment variables; `s3_errors` interprets the error codes.
"""

import mimetypes
import os
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)
from urllib3.exceptions import HTTPError

from notaflow_pipeline.documents.download import CHUNK_BYTES, missing_bucket_failure, missing_folder_failure, receive
from notaflow_pipeline.documents.failures import StorageMisconfigured, StorageUnavailable
from notaflow_pipeline.documents.location import Location
from notaflow_pipeline.documents.s3_errors import (
    EXISTING_BUCKET,
    MISSING_BUCKET,
    document_failure,
    error_code,
    storage_failure,
)

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.literals import BucketLocationConstraintType

DEFAULT_REGION = "us-east-1"
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 60
ATTEMPTS = 3


class S3Storage:
    """A storage whose buckets are folders under `bucket`/`prefix`, or real buckets if `bucket` is None."""

    def __init__(
        self,
        *,
        bucket: str | None = None,
        prefix: str = "",
        endpoint_url: str | None = None,
        region: str | None = None,
        host: str | None = None,
    ) -> None:
        if prefix and not bucket:
            raise StorageMisconfigured("The s3:// URL has a folder but no bucket. Set s3://bucket/folder.")
        self._endpoint = (
            endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
        )
        self.host = host or (_host_of_endpoint(self._endpoint) if self._endpoint else None)
        self._bucket = bucket
        self._prefix = prefix
        self._client = _client(self._endpoint, region)

    def __repr__(self) -> str:
        return f"<{self.description}>"

    @property
    def description(self) -> str:
        """Bucket and endpoint."""
        where = f"S3 bucket {self._bucket}" if self._bucket else "S3 storage"
        folder = f", folder {self._prefix}," if self._prefix else ""
        return f"{where}{folder} at {self._endpoint or f'AWS {self._client.meta.region_name}'}"

    def check(self, buckets: Collection[str] = ()) -> None:
        """Raise `StorageUnavailable` unless the buckets, or the one bucket's folders, can be listed."""
        try:
            with self._translating_connection_errors():
                if self._bucket:
                    self._check_folders(self._bucket, buckets)
                elif buckets:
                    for bucket in buckets:
                        self._check_bucket(bucket)
                else:
                    self._client.list_buckets()
        except (ClientError, ParamValidationError) as error:
            raise storage_failure(error_code(error), self.description) from error

    def _check_bucket(self, bucket: str) -> None:
        try:
            self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        except ClientError as error:
            if error_code(error) == MISSING_BUCKET:
                raise missing_bucket_failure(bucket, self.description) from error
            raise

    def _check_folders(self, bucket: str, folders: Collection[str]) -> None:
        """Raise if the bucket is not empty and none of the folders has an object."""
        prefix = f"{self._prefix}/" if self._prefix else ""
        if not self._has_objects(bucket, prefix) or not folders:
            return
        if not any(self._has_objects(bucket, f"{prefix}{folder}/") for folder in folders):
            raise missing_folder_failure(folders, self.description)

    def _has_objects(self, bucket: str, prefix: str) -> bool:
        return bool(self._client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("Contents"))

    def fetch(self, location: Location, destination: Path, max_bytes: int) -> int:
        """Stream the document to `destination`."""
        bucket, key = self._address(location)
        with self._translating_responses(location), self._translating_connection_errors():
            response = self._client.get_object(Bucket=bucket, Key=key)
            with closing(response["Body"]) as body:
                return receive(
                    body.iter_chunks(CHUNK_BYTES),
                    destination,
                    max_bytes=max_bytes,
                    announced_bytes=response.get("ContentLength"),
                )

    def store(self, location: Location, source: Path) -> None:
        """Upload `source`; creates the bucket if it is missing."""
        with self._translating_responses(location), self._translating_connection_errors():
            try:
                self._upload(location, source)
            except ClientError as error:
                if error_code(error) != MISSING_BUCKET:
                    raise
                self._create_bucket(self._address(location)[0])
                self._upload(location, source)

    def _address(self, location: Location) -> tuple[str, str]:
        if self._bucket is None:
            return location.bucket, location.name
        return self._bucket, "/".join(filter(None, (self._prefix, location.bucket, location.name)))

    def _upload(self, location: Location, source: Path) -> None:
        bucket, key = self._address(location)
        content_type = mimetypes.guess_type(location.name)[0] or "application/octet-stream"
        with source.open("rb") as file:
            self._client.put_object(Bucket=bucket, Key=key, Body=file, ContentType=content_type)

    def _create_bucket(self, bucket: str) -> None:
        region = cast("BucketLocationConstraintType", self._client.meta.region_name)
        try:
            if region == DEFAULT_REGION:  # S3 does not accept it as a constraint
                self._client.create_bucket(Bucket=bucket)
            else:
                self._client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
        except ClientError as error:
            if error_code(error) not in EXISTING_BUCKET:
                raise

    @contextmanager
    def _translating_responses(self, location: Location) -> Iterator[None]:
        """Turn error responses into the failure of the document or of the storage."""
        try:
            yield
        except (ClientError, ParamValidationError) as error:
            raise document_failure(
                error_code(error), location, self.description, bucket_from_row=self._bucket is None
            ) from error

    @contextmanager
    def _translating_connection_errors(self) -> Iterator[None]:
        """Turn exceptions of boto3 without a response into `StorageUnavailable`."""
        try:
            yield
        except ParamValidationError:
            raise
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StorageUnavailable(
                f"There are no credentials for {self.description}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            ) from error
        except (BotoCoreError, HTTPError) as error:  # an interrupted body raises an exception of urllib3
            raise StorageUnavailable(
                f"{self.description} cannot be reached, or the connection broke ({type(error).__name__}). "
                "Check the endpoint, the region and the network."
            ) from error


def _client(endpoint_url: str | None, region: str | None) -> "S3Client":
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # stores other than AWS rarely have a DNS name for each bucket, or know the newer checksums
        s3={"addressing_style": "path" if endpoint_url else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.session.Session()  # the default session is not thread-safe
        return session.client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=region or session.region_name or DEFAULT_REGION,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise StorageMisconfigured(
            "The S3 settings are invalid. Check endpoint_url and region in the documents' URL, and AWS_PROFILE."
        ) from error


def _host_of_endpoint(endpoint_url: str) -> str:
    """Return the host of document URLs; that of a Supabase project differs from that of its S3 endpoint."""
    parts = urlsplit(endpoint_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise StorageMisconfigured("The S3 endpoint_url must be http(s)://host[:port], without user or password.")
    return parts.netloc.lower().replace(".storage.supabase.co", ".supabase.co")
