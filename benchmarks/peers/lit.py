"""LitServe: the same pipeline behind its server."""

import os
import sys

import joblib
import litserve
import pandas as pd

NAMES = os.environ["PEER_FEATURES"].split()


class Flights(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = joblib.load(os.environ["PEER_MODEL"])

    def decode_request(self, request: dict) -> pd.DataFrame:
        frame = pd.DataFrame(request["rows"], columns=NAMES)
        words = os.environ["PEER_CATEGORIES"].split()
        numbers = [name for name in NAMES if name not in words]
        frame[numbers] = frame[numbers].astype(float)
        return frame

    def predict(self, frame: pd.DataFrame) -> list[float]:
        return self.model.predict_proba(frame)[:, 1].tolist()

    def encode_response(self, output: list[float]) -> dict:
        return {"predictions": output}


if __name__ == "__main__":
    litserve.LitServer(Flights(), accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
