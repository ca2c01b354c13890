"""A file of rows with what makes files awkward: names, gaps, ids, leaks, text, times as people write them."""

import numpy as np
import pandas as pd


def rows(count: int = 1500, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 213 * 24 * 60, count)), unit="min")
    region, x = rng.choice(["Nord", "Süd", 'West "1"', "it's"], count, p=[0.4, 0.3, 0.2, 0.1]), rng.normal(size=count)
    price = rng.normal(100, 20, count).round(2)
    price[rng.random(count) < 0.1] = np.nan
    yes = rng.random(count) < 1 / (1 + np.exp(-1.5 * x - 0.8 * (region == "Nord")))
    return pd.DataFrame(
        {
            "Order ID": [f"o-{number:05d}" for number in range(count)],
            "Ordered at": when.strftime("%d.%m.%Y %H:%M"),
            "2nd price (€)": price,
            "class": region,
            "Größe": rng.gamma(2, 50, count).round(1),
            "score": x.round(3),
            "note": [f"text {number}" for number in range(count)],
            "constant": 1,
            "empty": np.nan,
            "minutes late": np.where(yes, 10, -10) + rng.normal(size=count).round(2),
            "gift?": rng.choice([True, False], count),
            "Churned": np.where(yes, "yes", "no"),
        }
    )
