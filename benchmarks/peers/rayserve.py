"""Ray Serve: the same pipeline as one replica."""

import os
import sys
import time

import joblib
import pandas as pd
from ray import serve
from starlette.requests import Request

NAMES = os.environ["PEER_FEATURES"].split()


@serve.deployment(num_replicas=1)
class Flights:
    def __init__(self) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    async def __call__(self, request: Request) -> list[float]:
        frame = pd.DataFrame((await request.json())["rows"], columns=NAMES)
        words = os.environ["PEER_CATEGORIES"].split()
        numbers = [name for name in NAMES if name not in words]
        frame[numbers] = frame[numbers].astype(float)
        return self.model.predict_proba(frame)[:, 1].tolist()


if __name__ == "__main__":
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Flights.bind(), route_prefix="/predict")  # type: ignore[attr-defined]
    while True:
        time.sleep(3600)
