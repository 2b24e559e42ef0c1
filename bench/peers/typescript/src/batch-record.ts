import type { SQSRecord } from 'aws-lambda';
import { type OrderEvent, SCHEMA_VERSION } from './order-event.js';

/** The event in a message; a message of another form fails its record. */
export const readEvent = (record: SQSRecord): OrderEvent => {
  const message = JSON.parse(record.body);
  if (message.schema_version !== SCHEMA_VERSION || typeof message.event !== 'object') {
    throw new Error('not a message with an event of this schema version');
  }
  return message.event;
};
