"""The one failure a caller of this package has to expect."""


class EngineUnavailable(Exception):
    """No Docker Engine answers here and none can be started; the message is one line of reason."""

    def __init__(self, reason: str) -> None:
        self.reason = " ".join(reason.split())
        super().__init__(self.reason)
