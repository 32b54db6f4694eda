"""imaplib logs in by a client certificate, behind STARTTLS: as whom the certificate names, and as nobody else."""

import imaplib

from common import HOST, SITE, check, ok, tls


def session(certificate):
    """Under TLS, before the login."""
    context = tls()
    if certificate:
        context.load_cert_chain(f"{SITE['folder']}/{certificate}.pem", f"{SITE['folder']}/{certificate}.key")
    client = imaplib.IMAP4(HOST, SITE["imap"], timeout=60)
    ok(client.starttls(ssl_context=context))
    return client


def refused(client, whom):
    """What the server says."""
    try:
        client.authenticate("EXTERNAL", lambda _: whom)
    except imaplib.IMAP4.error as error:
        return str(error)
    raise SystemExit(f"{whom!r} is let in")


for whom in (b"", b"carol@back.example"):
    client = session("carol")
    check("AUTH=EXTERNAL" in client.capabilities, client.capabilities)
    ok(client.authenticate("EXTERNAL", lambda _: whom))
    ok(client.select("INBOX"))
    ok(client.append("INBOX", None, None, b"Subject: by a certificate\r\n\r\nHello\r\n"))
    client.logout()

client = session("carol")
check("AUTHORIZATIONFAILED" in refused(client, b"dora@back.example"), "somebody else")
ok(client.authenticate("EXTERNAL", lambda _: b""))
client.logout()

# The second address of a certificate is as good as its first.
client = session("both")
ok(client.authenticate("EXTERNAL", lambda _: b"dora@back.example"))
check(ok(client.select("INBOX")) == [b"0"], "dora has no mail")
client.logout()

for certificate in (None, "nameless"):
    client = session(certificate)
    check("AUTH=EXTERNAL" not in client.capabilities, client.capabilities)
    refused(client, b"carol@back.example")
    # imaplib's own LOGIN is for passwords of ASCII alone.
    plain = f"\0carol@back.example\0{SITE['password']}".encode()
    ok(client.authenticate("PLAIN", lambda _: plain))
    client.logout()
