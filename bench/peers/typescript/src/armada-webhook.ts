import { createHash } from 'node:crypto';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { armadaStatus, type Details, type OrderEvent } from './order-event.js';

/** An authenticated webhook that was read. */
export type ArmadaWebhook = {
  body: Buffer;
  headers: Record<string, string>;
  event: OrderEvent;
};

const RETAINED_HEADERS = [
  'x-armada-webhook-id',
  'x-armada-webhook-topic',
  'x-armada-timestamp',
  'x-armada-api-version',
] as const;
const PLACEHOLDERS = new Set(['', 'not provided', 'n/a', 'null']);

/** A text, or the digits of a number; blanks and placeholders count as absent. */
const text = (value: unknown): string | undefined => {
  if (typeof value !== 'string' && typeof value !== 'number') {
    return undefined;
  }
  const trimmed = String(value).trim();
  return PLACEHOLDERS.has(trimmed.toLowerCase()) ? undefined : trimmed;
};

const money = (value: unknown): string | undefined => {
  const digits = text(value);
  return digits !== undefined && Number.isFinite(Number(digits)) ? digits : undefined;
};

const time = (value: unknown): number | undefined => {
  const millis = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(millis) ? undefined : millis;
};

const object = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

const details = (order: Record<string, unknown>): Details => {
  const { name, phone } = object(order.driver);
  const driver = { name: text(name), phone: text(phone) };
  return {
    driver: driver.name || driver.phone ? driver : undefined,
    tracking_url: text(object(order.logistics).tracking_url),
    order_amount: money(order.amount),
    delivery_fee: money(order.delivery_fee),
    currency: text(order.currency),
    schedule: { placed_at_ms: time(order.created_at) },
  };
};

const parse = (body: Buffer): Record<string, unknown> => {
  try {
    return object(JSON.parse(body.toString('utf8')));
  } catch {
    return {};
  }
};

/** Reads a webhook of the merchant; `undefined` when it has no order, no id, no time or no known status. */
export const readWebhook = (
  request: APIGatewayProxyEventV2,
  merchantId: string,
  receivedAtMs: number,
): ArmadaWebhook | undefined => {
  const body = Buffer.from(request.body ?? '', request.isBase64Encoded ? 'base64' : 'utf8');
  const order = parse(body);
  const webhookId = request.headers['x-armada-webhook-id'];
  const topic = request.headers['x-armada-webhook-topic'];
  const orderId = text(order.code);
  const word = text(order.status);
  const status = armadaStatus(word);
  const occurredAtMs = time(request.headers['x-armada-timestamp']);
  if (!webhookId || !topic || orderId === undefined || status === undefined || occurredAtMs === undefined) {
    return undefined;
  }
  const headers: Record<string, string> = {};
  for (const name of RETAINED_HEADERS) {
    const value = request.headers[name];
    if (value !== undefined) {
      headers[name] = value;
    }
  }
  const event: OrderEvent = {
    webhook_pk: `armada#${merchantId}#${topic}#${webhookId}`,
    body_sha256: createHash('sha256').update(body).digest('hex'),
    merchant_id: merchantId,
    provider: 'armada',
    order_id: orderId,
    occurred_at_ms: occurredAtMs,
    received_at_ms: receivedAtMs,
    provider_status: word,
    provider_event_id: webhookId,
    status,
    details: details(order),
  };
  return { body, headers, event };
};
