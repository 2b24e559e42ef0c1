import { deflateRawSync } from 'node:zlib';
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { ArmadaWebhook } from './armada-webhook.js';
import { orderKey } from './order-event.js';

const FIRST_DUE_AFTER_MS = 180_000;
const PENDING_SHARDS = 32;
const COMPRESSION_LEVEL = 6;

/** The item of the `webhooks` table for a webhook that is not applied yet. */
export const pendingRecord = (
  { body, headers, event }: ArmadaWebhook,
  requestId: string,
): Record<string, AttributeValue> => {
  const shard = Number.parseInt(event.body_sha256.slice(0, 2), 16) % PENDING_SHARDS;
  const kept = Object.entries(headers).map(([name, value]) => [name, { S: value }]);
  return {
    pk: { S: event.webhook_pk },
    state: { S: 'pending' },
    merchant_id: { S: event.merchant_id },
    received_at_ms: { N: String(event.received_at_ms) },
    body: { B: deflateRawSync(body, { level: COMPRESSION_LEVEL }) },
    body_sha256: { S: event.body_sha256 },
    request_id: { S: requestId },
    forward_attempts: { N: '0' },
    order_key: { S: orderKey(event) },
    headers: { M: Object.fromEntries(kept) },
    pending_shard: { S: String(shard).padStart(2, '0') },
    due_at_ms: { N: String(event.received_at_ms + FIRST_DUE_AFTER_MS) },
  };
};
