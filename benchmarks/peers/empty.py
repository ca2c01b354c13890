"""Nothing but the protocol: an empty FastAPI endpoint and an empty ASGI application that answer with the same bytes."""

from typing import Any

from fastapi import FastAPI, Request, Response

ANSWER = b'{"prediction":0.3384086014648662}'
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    await request.body()
    return Response(ANSWER, media_type="application/json")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})
