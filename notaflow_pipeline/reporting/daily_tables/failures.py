"""What prevents the tables of a day from being computed."""


class AttemptsPruned(Exception):
    """The attempts of a day were deleted, some or all; what its tables say cannot be computed any more."""
