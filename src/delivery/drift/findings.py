"""Define the evidence on a period: structs within reports/drift.json. JSON keys are those of earlier versions."""

from msgspec import Struct, field

from problem import BLOCK


class Serving(Struct, frozen=True, omit_defaults=True):
    """Which version is judged, and where it serves since when; without a version it is main's model."""

    version: str = ""
    environment: str = ""
    since: str = ""
    differs: bool = False
    """Whether main's model or code differ from it."""
    own_code: bool = False
    """Whether its features were computed by its own code."""
    main_until: str = ""
    """Newest period of the data of main's model."""
    wanted: str = ""
    """The environment that was asked for, if nothing serves there."""


class BlockLoss(Struct, frozen=True, rename={"block": BLOCK}):
    """Mean loss, prediction and label of one block's rows."""

    block: str | int
    loss: float
    predicted: float
    observed: float
    rows: int


class Performance(Struct, frozen=True):
    """The champion's mean loss on labelled rows with its interval; `level` is as in an evaluation."""

    rows: int
    loss: float
    low: float
    high: float
    level: tuple[float, ...]
    blocks: tuple[BlockLoss, ...]


class Rise(Struct, frozen=True):
    """How much higher the loss is than it was, with an interval."""

    value: float
    low: float
    high: float


class Attribution(Struct, frozen=True):
    """Loss that the shift of one column explains; None if `overlap`, a share, is too small to tell."""

    column: str
    explains: float | None
    overlap: float


class SegmentRise(Struct, frozen=True):
    """Rise of the loss within one segment, and its part in the whole rise."""

    segment: str
    rows: int
    rise: float
    part: float


class Findings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Findings that need no challenger. Without labels `now` is None, and so is everything that needs labels."""

    psi_alarm: float
    before: Performance
    now: Performance | None
    sentences: tuple[str, ...]
    rise: Rise | None = None
    attribution: tuple[Attribution, ...] | None = None
    segments: tuple[SegmentRise, ...] | None = None


class Age(Struct, frozen=True):
    """How far the champion is behind the period, and how far the period's labels reach; `labelled` is a share."""

    champion_trained_until: str
    periods_since: int = field(name="months_since")
    newest_in_source: str
    newest_row: str | None
    newest_label: str | None
    days: int
    labelled: float


class Revision(Struct, frozen=True):
    """Rows that the source has added, removed and altered in a file that was fetched before."""

    file: str
    added: int
    removed: int
    altered: int


class JoinCounts(Struct, frozen=True):
    """How many predictions could be joined with their example, and why others could not."""

    predictions: int
    repeated: int
    ambiguous: int
    unknown: int
    joined: int
    labelled: int


class Realised(Struct, frozen=True):
    """Mean loss of predictions whose label has arrived; None if none has."""

    counts: JoinCounts
    loss: float | None


class Skew(Struct, frozen=True):
    """A feature that differs between request and table: share of the requests, and an example."""

    feature: str
    share: float
    case: str


class Feedback(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether labels arrive for other scores than without the model; `why` if that cannot be known yet."""

    rows: int
    served: float | None = None
    reference: float | None = None
    low: float | None = None
    high: float | None = None
    warn: bool
    why: str = ""


class ServedFacts(Struct, frozen=True):
    """Facts from the service's log; `again`, the error of scoring again, is None if `why` says why that is impossible."""

    counts: JoinCounts
    loss: float | None
    unreadable: int
    versions: tuple[str, ...]
    skew: tuple[Skew, ...]
    again: float | None
    feedback: Feedback
    why: str = ""
