"""Errors that a person is told in one line: what, where, and what to do."""


class CallError(ValueError):
    """The call is wrong: the command ends with 2."""


class DataError(ValueError):
    """The data has problems: the command ends with 1."""


class RefusedError(ValueError):
    """A whole file cannot be taken; the message is the reason."""


class TornError(RefusedError):
    """A packed file or archive ends or breaks before its end."""
