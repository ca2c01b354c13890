"""Ask a Prometheus server for a number."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from math import isnan
from typing import Any

from delivery.core.errors import Failure

SECONDS = 5.0


def value(address: str, query: str) -> float:
    """Return the number that an instant query gives now.

    Raise `Failure` if the server does not answer in time or refuses the query, and if there is no number, or more than one.
    """
    data = _asked(f"{address.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}", address)
    result = [{"value": data["result"]}] if data["resultType"] == "scalar" else data["result"]
    if data["resultType"] not in ("scalar", "vector") or len(result) != 1:
        raise Failure(f"the query gives {len(result) or 'no'} values instead of one number")
    number = float(result[0]["value"][1])
    if isnan(number):
        raise Failure("the query gives NaN, such as for a ratio without requests")
    return number


def _asked(url: str, address: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as reply:  # noqa: S310  params.yaml allows http and https only
            return json.loads(reply.read())["data"]
    except urllib.error.HTTPError as error:
        with error:  # which holds the connection
            raise Failure(f"{address} refuses the query: {_reason(error)}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{address} does not answer ({getattr(error, 'reason', error)})") from None
    except (ValueError, KeyError, TypeError):
        raise Failure(f"{address} does not answer as Prometheus does") from None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return f"{error.code} {error.reason}"
