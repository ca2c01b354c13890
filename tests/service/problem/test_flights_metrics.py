"""Gaps and unknown categories of the flights, counted."""

import asyncio

from exposed import samples
from live import call

from delivery.service.app import App


def test_requests_rows_scores_gaps_and_unknowns_are_counted(app: App, good: dict) -> None:
    async def some() -> None:
        await call(app, good)
        await call(app, [good, good | {"carrier": "ZZ"}, {k: v for k, v in good.items() if k != "temp"}])
        await call(app, b"{")
        await call(app, method="GET")

    asyncio.run(some())
    seen = samples(app)
    assert [seen["predict_requests_total", status] for status in ("200", "400", "405")] == [2, 1, 1]
    assert seen["predict_rows_sum", ""] == 4
    assert seen["predict_rows_count", ""] == seen["predict_seconds_count", ""] == 2
    assert [seen["predict_seconds_by_rows_count", rows] for rows in ("1", "3-4")] == [1, 1]
    assert seen["predict_score_count", ""] == 4
    assert 0 < seen["predict_seconds_sum", ""] < 10
    assert seen["feature_missing_total", "temp"] == 1
    assert seen["feature_missing_total", "carrier"] == 0
    assert seen["feature_unknown_total", "carrier"] == 1
    assert seen["feature_unknown_total", "dest"] == 0
    assert {key: value for key, value in seen.items() if key[0] == "model_info"}.popitem()[1] == 1
