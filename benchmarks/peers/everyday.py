"""FastAPI as everyone writes it: pydantic, one DataFrame per request, the scikit-learn pipeline."""

import os

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, create_model

model = joblib.load(os.environ["PEER_MODEL"])
names = os.environ["PEER_FEATURES"].split()
words = set(os.environ["PEER_CATEGORIES"].split())
Row: type[BaseModel] = create_model(
    "Row", **{name: (str | None if name in words else float | None, None) for name in names}
)  # type: ignore[call-overload]
app = FastAPI()


@app.post("/predict")
def predict(rows: Row | list[Row]) -> dict[str, list[float]]:  # type: ignore[valid-type]
    several = rows if isinstance(rows, list) else [rows]
    frame = pd.DataFrame([row.model_dump() for row in several], columns=names)
    numbers = [name for name in names if name not in words]
    frame[numbers] = frame[numbers].astype(float)
    return {"predictions": model.predict_proba(frame)[:, 1].tolist()}
