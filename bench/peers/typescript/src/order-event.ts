/** What an event tells beside the status; money is text, so that no digit is lost on the way. */
export type Details = {
  driver?: { name?: string; phone?: string };
  tracking_url?: string;
  order_amount?: string;
  delivery_fee?: string;
  currency?: string;
  schedule: { placed_at_ms?: number };
};

/** One event of one order, and the record it was read from, as in docs/schema/queue-message.schema.json. */
export type OrderEvent = {
  webhook_pk: string;
  body_sha256: string;
  merchant_id: string;
  provider: string;
  order_id: string;
  occurred_at_ms: number;
  received_at_ms: number;
  provider_event?: string;
  provider_status?: string;
  provider_event_id?: string;
  status?: string;
  details: Details;
};

export const SCHEMA_VERSION = 1;

const STATUS_OF_WORD: Readonly<Record<string, string>> = {
  pending: 'pending',
  accepted: 'assigned',
  dispatched: 'en_route_to_pickup',
  waiting_pack: 'at_pickup',
  en_route: 'in_transit',
  completed: 'delivered',
  complete: 'delivered',
  canceled: 'canceled',
  cancelled: 'canceled',
  failed: 'failed',
};

/** What Armada's word means; `undefined` for an unknown one. */
export const armadaStatus = (word: string | undefined): string | undefined =>
  word === undefined ? undefined : STATUS_OF_WORD[word.trim().toLowerCase().replaceAll(' ', '_')];

/** The key of the event's order in the `orders` table. */
export const orderKey = (event: OrderEvent): string =>
  `${event.merchant_id}#${event.provider}#${event.order_id}`;
