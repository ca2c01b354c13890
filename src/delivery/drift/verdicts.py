"""Define the policy's conclusions and the log's entries. JSON keys are those of earlier versions."""

from typing import Literal

from msgspec import Struct, field

Judged = Literal["retrain", "hold", "no"]


class PooledGain(Struct, frozen=True):
    """The challengers' mean gain of a row over one or several periods, with its interval."""

    periods: tuple[str, ...] = field(name="months")
    rows: int
    gain: float
    low: float
    high: float


class Calibration(Struct, frozen=True):
    """The champion's calibration gap with its interval, and the challenger's gap."""

    gap: float
    low: float
    high: float
    challenger: float


class Judgement(Struct, frozen=True):
    """The verdict on a period with its reason, and the numbers that decided."""

    newest: PooledGain
    pooled: PooledGain
    calibration: Calibration
    verdict: Judged
    why: str


class Confirmation(Struct, frozen=True):
    """Actions that follow from a verdict that `streak` periods in a row have given."""

    streak: int
    retrain: bool
    withdraw: bool


class LogEntry(Struct, frozen=True, kw_only=True):
    """One check in the store's log; one of an earlier version may lack fields."""

    date: str = ""
    period: str = field(name="month")
    verdict: str = ""
    retrain: bool = False
    withdraw: bool = False
    why: str = ""
    champion: str = ""
    version: str = ""
    environment: str = ""
    champion_trained_on: str = ""
    rows: int = 0
    seconds: float = 0.0
    by: str = ""
    data: str = ""
