"""One DynamoDB client for the life of the environment; it keeps its connections alive by itself."""

import boto3

dynamodb = boto3.client("dynamodb")
