"""The HTTP response: a status code, and one word."""

import json
from typing import Any


def answer(status_code: int, status: str, request_id: str) -> dict[str, Any]:
    """The response in payload format 2.0."""
    return {
        "statusCode": status_code,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            "x-request-id": request_id,
        },
        "body": json.dumps({"status": status}, separators=(",", ":")),
    }
