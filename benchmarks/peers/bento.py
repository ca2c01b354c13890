"""BentoML: the same pipeline behind its service."""

import os

import bentoml
import joblib
import pandas as pd

NAMES = os.environ["PEER_FEATURES"].split()


@bentoml.service(workers=1)
class Flights:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    @bentoml.api
    def predict(self, rows: list[dict]) -> list[float]:
        frame = pd.DataFrame(rows, columns=NAMES)
        words = os.environ["PEER_CATEGORIES"].split()
        numbers = [name for name in NAMES if name not in words]
        frame[numbers] = frame[numbers].astype(float)
        return self.model.predict_proba(frame)[:, 1].tolist()
