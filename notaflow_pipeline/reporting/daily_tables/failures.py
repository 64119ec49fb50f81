"""The error of a day whose tables cannot be computed."""


class AttemptsPruned(Exception):
    """Some attempts of a day were deleted, so its tables cannot be computed again."""
