"""A mail server that wants STARTTLS and a password, and prints each mail that it takes as a line of JSON.

What becomes of a mail is in its recipient's name: later@ (451), never@ (550), lost@ (taken, and the connection is cut
before the answer)."""

import json
import ssl
import sys
import time
from email import message_from_bytes
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PORT, CERTIFICATE, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("later@"):
            return "451 4.7.1 Greylisted, try again later"
        if address.startswith("never@"):
            return f"550 5.1.1 No such user here, {PASSWORD}"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = message_from_bytes(envelope.content, policy=default)
        taken = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "authenticated": session.authenticated,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
        }
        print(json.dumps(taken), flush=True)
        if any(address.startswith("lost@") for address in envelope.rcpt_tos):
            server.transport.abort()
        return "250 2.0.0 Ok: queued as 1A2B"


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"meters" and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=good)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE)
controller = Controller(
    Handler(),
    hostname="127.0.0.1",
    port=PORT,
    tls_context=context,
    require_starttls=True,
    auth_required=True,
    authenticator=authenticate,
)
controller.start()
while True:
    time.sleep(3600)
