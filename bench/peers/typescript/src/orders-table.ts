import { createHash } from 'node:crypto';
import { PutItemCommand, QueryCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { unlessConditionFails } from './conditional-write.js';
import { dynamodb } from './dynamodb.js';
import { required } from './environment.js';
import { armadaStatus, type Details, type OrderEvent, orderKey } from './order-event.js';

type Entry = { sk: string; occurred_at_ms: number; provider_status?: string; details?: Details };

const ordersTable = required('ORDERS_TABLE');
const STATE = 'state';
const OPTIONAL_ATTRIBUTES = [
  'status',
  'status_since_ms',
  'driver',
  'tracking_url',
  'order_amount',
  'delivery_fee',
  'currency',
] as const;

const sortKey = (event: OrderEvent): string => {
  const status = event.provider_status ?? '';
  const spelled = event.provider === 'armada' ? status : `${event.provider_event ?? ''}.${status}`;
  const word = /^[A-Za-z0-9_.]{1,64}$/.test(spelled)
    ? spelled
    : createHash('sha256').update(spelled).digest('hex').slice(0, 16);
  return `event#${String(event.occurred_at_ms).padStart(13, '0')}#${word}#${event.provider_event_id ?? '-'}`;
};

/** Adds the event to its order's timeline, once. */
export const putEntry = async (event: OrderEvent): Promise<void> => {
  const { merchant_id, provider, order_id, body_sha256, status, ...entry } = event;
  const item = { pk: orderKey(event), sk: sortKey(event), ...entry };
  await unlessConditionFails(
    dynamodb.send(
      new PutItemCommand({
        TableName: ordersTable,
        Item: marshall(item, { removeUndefinedValues: true }),
        ConditionExpression: 'attribute_not_exists(pk)',
      }),
    ),
  );
};

/** All entries of the event's order. */
export const readTimeline = async (event: OrderEvent): Promise<Entry[]> => {
  const entries: Entry[] = [];
  let position: Record<string, never> | undefined;
  do {
    const page = await dynamodb.send(
      new QueryCommand({
        TableName: ordersTable,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': { S: orderKey(event) } },
        ConsistentRead: true,
        ExclusiveStartKey: position,
      }),
    );
    for (const item of page.Items ?? []) {
      if (item.sk?.S !== STATE) {
        entries.push(unmarshall(item) as Entry);
      }
    }
    position = page.LastEvaluatedKey as Record<string, never> | undefined;
  } while (position !== undefined);
  return entries;
};

/** Where the order stands. Not the project's fold: the entry with the greatest key simply wins. */
const fold = (entries: Entry[]): Record<string, unknown> => {
  const latest = entries.reduce((a, b) => (b.sk > a.sk ? b : a));
  return {
    ...latest.details,
    event_count: entries.length,
    status: armadaStatus(latest.provider_status),
    status_since_ms: latest.occurred_at_ms,
  };
};

/** Saves the state, unless the stored one counts more events. */
export const saveState = async (event: OrderEvent, entries: Entry[]): Promise<void> => {
  const state = fold(entries);
  const names: Record<string, string> = {};
  const values: Record<string, unknown> = { ':zero': 0, ':one': 1 };
  const sets = ['revision = if_not_exists(revision, :zero) + :one'];
  for (const [name, value] of Object.entries(state)) {
    if (value !== undefined) {
      names[`#${name}`] = name;
      values[`:${name}`] = value;
      sets.push(`#${name} = :${name}`);
    }
  }
  const absent = OPTIONAL_ATTRIBUTES.filter((name) => state[name] === undefined);
  for (const name of absent) {
    names[`#${name}`] = name;
  }
  const remove = absent.length > 0 ? ` REMOVE ${absent.map((name) => `#${name}`).join(', ')}` : '';
  await unlessConditionFails(
    dynamodb.send(
      new UpdateItemCommand({
        TableName: ordersTable,
        Key: { pk: { S: orderKey(event) }, sk: { S: STATE } },
        UpdateExpression: `SET ${sets.join(', ')}${remove}`,
        ConditionExpression: 'attribute_not_exists(event_count) OR event_count <= :event_count',
        ExpressionAttributeNames: names,
        ExpressionAttributeValues: marshall(values, { removeUndefinedValues: true }),
      }),
    ),
  );
};
