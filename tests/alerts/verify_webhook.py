"""Verifies a webhook with the library of Standard Webhooks: the secret, the headers and the body as JSON."""

import json
import sys

from standardwebhooks.webhooks import Webhook

secret, headers, body = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
print(json.dumps(Webhook(secret).verify(body, headers)))
