"""Documents of a batch that failed at one step, until it is known whether they or the infrastructure are at fault.

A failure that could be either counts against its document once the same step succeeds for another document, or when no
other document is left that could show it. Several in a row without a success are the infrastructure's: the run fails, and
the documents are released with `INFRASTRUCTURE_FAILURE`, so that their attempts do not count. A document that was released so
`MAX_RELEASES` times in a row counts the next time, or a few bad documents at the head would keep the queue from moving.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from notaflow_pipeline.failures import FailureKind
from notaflow_pipeline.job_queue.model import Attempt, Claim, Failure, Outcome

INFRASTRUCTURE_FAILURE = "it failed, and so did the others of its run: taken for a failure of the infrastructure"
"""The reason with which the undecided documents of a failed run are released."""

MAX_RELEASES = 5
"""Runs that one document may fail in this way: with the sensor's pauses they take a quarter of an hour."""

MAX_IN_A_ROW = 5
"""This many documents in a row that fail are the infrastructure's fault, whatever it answers when it is checked."""

MAX_FIRST_ATTEMPT_FAILURES = 2
"""This many first attempts that fail, where nothing else of the batch shows whose fault it is, are the infrastructure's."""


@dataclass(frozen=True)
class _Undecided:
    claim: Claim
    failure: Failure
    error: Exception


class UnattributedFailures:
    """The failures at one step of a batch, for example fetching."""

    def __init__(self, step: str) -> None:
        """Begin with none; `step` completes the sentence "5 documents in a row could not be …"."""
        self._step = step
        self._failures: dict[int, _Undecided] = {}
        self.has_succeeded = False
        """Whether the step has succeeded for a document of this batch."""
        self._is_infrastructure = False

    def __len__(self) -> int:
        return len(self._failures)

    @property
    def infrastructure_tokens(self) -> list[int]:
        """The claims to release with `INFRASTRUCTURE_FAILURE`: all, once the failures were taken for the infrastructure's."""
        return list(self._failures) if self._is_infrastructure else []

    def add(self, claim: Claim, failure: Failure, error: Exception) -> None:
        """Note a failure.

        Args:
            claim: of the document.
            failure: what to record if it is the document's.
            error: what to raise if it is the infrastructure's; its type takes one message.

        Raises:
            Exception: of the type of `error`, when too many have failed in a row.
        """
        self._failures[claim.token] = _Undecided(claim, failure, error)
        if len(self._failures) >= MAX_IN_A_ROW:
            raise self._infrastructure_failure()

    def remove(self, token: int) -> None:
        """Forget a document that is no longer in hand."""
        self._failures.pop(token, None)

    def decide(self) -> list[tuple[int, Failure]]:
        """Return which failures to record, when no other document is left that could show whose fault they are.

        A missing document speaks against the storage only beside several: a few are missing at any time. Nor does a
        second attempt: that document came this far before, and failed where others did not.

        Raises:
            Exception: they are the infrastructure's.
        """
        first = sum(
            one.claim.attempt_number == 1 and one.failure.kind is not FailureKind.NOT_FOUND
            for one in self._failures.values()
        )
        if not self.has_succeeded and first >= MAX_FIRST_ATTEMPT_FAILURES:
            raise self._infrastructure_failure()
        return self.recorded()

    def recorded(self) -> list[tuple[int, Failure]]:
        """Return every failure with its claim's token, as the documents' own."""
        return [(token, one.failure) for token, one in self._failures.items()]

    def _infrastructure_failure(self) -> Exception:
        self._is_infrastructure = True
        *_, last = self._failures.values()
        return type(last.error)(f"{len(self)} documents in a row could not be {self._step}; the last: {last.error}")


def count_infrastructure_releases(attempts: Iterable[Attempt]) -> int:
    """Count how often in a row a document was released with `INFRASTRUCTURE_FAILURE`, other releases left out.

    `attempts` are all of the document, oldest first; the open one is no part of the count.
    """
    count = 0
    for attempt in reversed(list(attempts)):
        if attempt.outcome == Outcome.RELEASED:
            count += attempt.error == INFRASTRUCTURE_FAILURE
        elif attempt.outcome is not None:
            break
    return count


def was_missing(attempts: Iterable[Attempt]) -> bool:
    """Whether a document's last attempt that counted failed because its file was missing; `attempts` as above."""
    counted = [one for one in attempts if one.outcome not in (None, Outcome.RELEASED)]
    return bool(counted) and counted[-1].failure_kind == FailureKind.NOT_FOUND
