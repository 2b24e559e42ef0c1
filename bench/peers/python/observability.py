"""The log and metric lines of the webhook functions."""

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from order_event import OrderEvent

logger = Logger(service="armada-webhook")
metrics = Metrics(namespace="DeliveryWebhooks", service="armada-webhook")


def report(outcome: str, event: OrderEvent, request_id: str) -> None:
    """Reports an authenticated, readable webhook."""
    logger.info(
        "webhook",
        outcome=outcome,
        webhook_request_id=request_id,
        merchant_id=event["merchant_id"],
        order_id=event["order_id"],
        webhook_pk=event["webhook_pk"],
        status=event["status"],
    )
    metrics.add_dimension("Provider", event["provider"])
    metrics.add_metric("Accepted", unit=MetricUnit.Count, value=1 if outcome == "accepted" else 0)
