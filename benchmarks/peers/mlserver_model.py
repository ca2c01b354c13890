"""MLServer: the same pipeline as a custom model, rows as one JSON string (its V2 protocol)."""

import json
import os

import joblib
import pandas as pd
from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

NAMES = os.environ["PEER_FEATURES"].split()


class Flights(MLModel):
    async def load(self) -> bool:
        self.model = joblib.load(os.environ["PEER_MODEL"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = json.loads(payload.inputs[0].data[0])
        frame = pd.DataFrame(rows, columns=NAMES)
        words = os.environ["PEER_CATEGORIES"].split()
        numbers = [name for name in NAMES if name not in words]
        frame[numbers] = frame[numbers].astype(float)
        scores = self.model.predict_proba(frame)[:, 1].tolist()
        output = ResponseOutput(name="predictions", shape=[len(scores)], datatype="FP64", data=scores)
        return InferenceResponse(model_name=self.name, outputs=[output])
