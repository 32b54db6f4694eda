"""COMPRESS=DEFLATE (RFC 4978) inside TLS: commands, a large message both ways, IDLE."""

import imaplib
import zlib

from common import HOST, SITE, check, deliver, letter, ok, tls


class Compressed(imaplib.IMAP4_SSL):
    """imaplib, which does not know COMPRESS, over a deflated stream."""

    deflater = None

    def compress(self):
        check("COMPRESS=DEFLATE" in self.capabilities, self.capabilities)
        imaplib.Commands.setdefault("COMPRESS", ("AUTH", "SELECTED"))
        ok(self._simple_command("COMPRESS", "DEFLATE"))
        self.inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self.deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.inflated = b""
        self.octets = {"sent": 0, "received": 0}

    def send(self, data):
        if self.deflater:
            data = self.deflater.compress(data) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
            self.octets["sent"] += len(data)
        super().send(data)

    def fill(self):
        data = self.sock.recv(65536)
        if not data:
            raise self.abort("the server closed the connection")
        self.octets["received"] += len(data)
        self.inflated += self.inflater.decompress(data)

    def take(self, count):
        taken, self.inflated = self.inflated[:count], self.inflated[count:]
        return taken

    def read(self, size):
        if not self.deflater:
            return super().read(size)
        while len(self.inflated) < size:
            self.fill()
        return self.take(size)

    def readline(self):
        if not self.deflater:
            return super().readline()
        while b"\n" not in self.inflated:
            self.fill()
        return self.take(self.inflated.index(b"\n") + 1)


session = Compressed(HOST, SITE["imaps"], ssl_context=tls(), timeout=60)
ok(session.login(SITE["account"]["address"], SITE["account"]["password"]))
ok(session.capability())
session.compress()
status, data = session._simple_command("COMPRESS", "DEFLATE")
check(status == "NO" and b"[COMPRESSIONACTIVE]" in data[0], (status, data))

body = "".join(f"line {number} of a long message that says the same again and again\r\n" for number in range(60_000))
message = letter("compressed", body)
count = int(ok(session.select("INBOX"))[0])
ok(session.append("INBOX", None, None, message))
check(session.octets["sent"] < len(message) // 4, session.octets)
count += 1

data = ok(session.fetch(str(count), "(BODY.PEEK[])"))
check(data[0][1] == message, "the message came back as it was")
check(session.octets["received"] < len(message) // 4, (session.octets, len(message)))

# A second time, and small commands in between.
for _ in range(3):
    ok(session.noop())
    check(ok(session.fetch(str(count), "(RFC822.SIZE)"))[0].endswith(b"RFC822.SIZE %d)" % len(message)), "the size")

# What comes unasked is flushed too.
session.send(b"i1 IDLE\r\n")
check(session.readline().startswith(b"+"), "IDLE")
deliver(letter("while-compressed"))
line = session.readline()
check(line.strip() == b"* %d EXISTS" % (count + 1), line)
session.send(b"DONE\r\n")
check(session.readline().startswith(b"i1 OK"), "DONE")
session.logout()
