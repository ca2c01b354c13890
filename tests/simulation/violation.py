"""A rule of the simulation that did not hold."""

MINIMUM = 0.6  # of the gate


class Violation(BaseException):  # no verb may take it for an error of its own
    """A rule that did not hold: its name and what was seen."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(rule, text)  # so it can be sent between processes
        self.rule, self.text = rule, text

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"
