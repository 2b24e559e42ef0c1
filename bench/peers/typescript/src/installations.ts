import { createHash } from 'node:crypto';
import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { dynamodb } from './dynamodb.js';
import { required } from './environment.js';

export type Installation = { merchantId: string; state: string };

const installationsTable = required('INSTALLATIONS_TABLE');
const REMEMBERED_MS = 60_000;
const MAX_REMEMBERED = 10_000;

const remembered = new Map<string, { installation: Installation; readAtMs: number }>();

/** The key of the installation whose ids are in the headers. */
const registryKey = (headers: APIGatewayProxyEventV2['headers']): string | undefined => {
  const appId = headers['x-armada-app-id'];
  const installationId = headers['x-armada-installation-id'];
  if (!appId || !installationId) {
    return undefined;
  }
  return `armada#${createHash('sha256').update(`${appId}\u001f${installationId}`).digest('hex')}`;
};

const read = async (pk: string): Promise<Installation | undefined> => {
  const { Item } = await dynamodb.send(new GetItemCommand({ TableName: installationsTable, Key: { pk: { S: pk } } }));
  const merchantId = Item?.merchant_id?.S;
  const state = Item?.state?.S;
  return merchantId !== undefined && state !== undefined ? { merchantId, state } : undefined;
};

/** The active installation that sent the webhook, remembered for a minute. */
export const findInstallation = async (
  headers: APIGatewayProxyEventV2['headers'],
): Promise<Installation | undefined> => {
  const pk = registryKey(headers);
  if (pk === undefined) {
    return undefined;
  }
  const nowMs = Date.now();
  const hit = remembered.get(pk);
  let installation = hit && nowMs - hit.readAtMs < REMEMBERED_MS ? hit.installation : undefined;
  if (installation === undefined) {
    installation = await read(pk);
    if (installation === undefined) {
      return undefined;
    }
    if (remembered.size >= MAX_REMEMBERED) {
      remembered.clear();
    }
    remembered.set(pk, { installation, readAtMs: nowMs });
  }
  return installation.state === 'active' ? installation : undefined;
};
