import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { OrderEvent } from './order-event.js';

export const logger = new Logger({ serviceName: 'armada-webhook' });
const metrics = new Metrics({ namespace: 'DeliveryWebhooks', serviceName: 'armada-webhook' });

/** Writes the log line and the metric line of an authenticated, readable webhook. */
export const report = (outcome: string, event: OrderEvent, requestId: string): void => {
  logger.info('webhook', {
    outcome,
    webhook_request_id: requestId,
    merchant_id: event.merchant_id,
    order_id: event.order_id,
    webhook_pk: event.webhook_pk,
    status: event.status,
  });
  metrics.addDimension('Provider', event.provider);
  metrics.addMetric('Accepted', MetricUnit.Count, outcome === 'accepted' ? 1 : 0);
  metrics.publishStoredMetrics();
};
