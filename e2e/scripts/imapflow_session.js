// What an application does with ImapFlow. `mode` says how it connects: plain, starttls or tls; `quota` is the account's
// quota in octets, where it has one. The library itself enables what the server offers, compression included.
"use strict";

const net = require("node:net");
const { once } = require("node:events");
const readline = require("node:readline");
const { inspect, isDeepStrictEqual } = require("node:util");
const { ImapFlow } = require("imapflow");

const HOST = "127.0.0.1";
const PATIENCE = 60_000;
const SITE = JSON.parse(process.argv[2]);
const SENT = new Date("2026-02-01T08:00:00Z");
const MIXED = Buffer.from(
  [
    "From: Ann Sender <ann@far.example>",
    "To: Bob <bob@here.example>, carol@here.example",
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    "Date: Mon, 02 Feb 2026 10:00:00 +0100",
    "Message-ID: <mixed@imapflow.example>",
    "In-Reply-To: <before@imapflow.example>",
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="sep"',
    "",
    "--sep",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: 8bit",
    "",
    "Grüße",
    "--sep",
    'Content-Type: image/png; name="a.png"',
    "Content-Transfer-Encoding: base64",
    'Content-Disposition: attachment; filename="a.png"',
    "",
    "AAECAw==",
    "--sep--",
    "",
  ].join("\r\n"),
);
// Beyond ASCII, with the letter that the encoding of names uses (RFC 3501 §5.1.3).
const PROJECT = "Aufträge & mehr/今年";
const RENAMED = "Aufträge & mehr/去年";

function check(holds, what) {
  if (!holds) throw new Error(`check failed: ${inspect(what, { depth: 8 })}`);
}

function same(found, wanted, what) {
  check(isDeepStrictEqual(found, wanted), [what, "found", found, "instead of", wanted]);
}

function sorted(set) {
  return [...set].sort();
}

function newClient(pass = SITE.account.password) {
  const client = new ImapFlow({
    host: HOST,
    port: SITE.mode === "tls" ? SITE.imaps : SITE.imap,
    secure: SITE.mode === "tls",
    doSTARTTLS: SITE.mode === "starttls",
    // The site signs its own certificate.
    tls: { rejectUnauthorized: false },
    auth: { user: SITE.account.address, pass },
    qresync: true,
    disableAutoIdle: true,
    logger: false,
    socketTimeout: PATIENCE,
  });
  client.on("error", (error) => {
    throw error;
  });
  return client;
}

async function logIn() {
  const client = newClient();
  await client.connect();
  return client;
}

function letter(subject, body = "Hello\r\n") {
  return (
    `From: Ann Sender <ann@far.example>\r\nTo: ${SITE.account.address}\r\nSubject: ${subject}\r\n` +
    `Date: Mon, 02 Feb 2026 10:00:00 +0000\r\nMessage-ID: <${subject}@imapflow.example>\r\n\r\n${body}`
  );
}

/// Hands a message to the relay.
async function deliver(message) {
  const socket = net.connect(SITE.smtp, HOST);
  socket.setTimeout(PATIENCE, () => socket.destroy(new Error("the relay is silent")));
  const replies = readline.createInterface({ input: socket })[Symbol.asyncIterator]();
  const hear = async (code) => {
    for (;;) {
      const { value, done } = await replies.next();
      check(!done && value.startsWith(code), ["the relay said", value, "not", code]);
      if (value[3] !== "-") return;
    }
  };
  await hear("220");
  const dialogue = [
    ["EHLO client.far.example", "250"],
    ["MAIL FROM:<ann@far.example>", "250"],
    [`RCPT TO:<${SITE.account.address}>`, "250"],
    ["DATA", "354"],
    [`${message}.`, "250"],
    ["QUIT", "221"],
  ];
  for (const [line, code] of dialogue) {
    socket.write(`${line}\r\n`);
    await hear(code);
  }
  socket.destroy();
}

async function whole(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

/// The next event of a client that is wanted.
async function told(client, event, isIt) {
  const signal = AbortSignal.timeout(PATIENCE);
  for (;;) {
    const [data] = await once(client, event, { signal });
    if (isIt(data)) return data;
  }
}

async function refuseWrongPassword() {
  const client = newClient("wrong");
  let refused;
  await client.connect().catch((error) => (refused = error));
  check(refused?.authenticationFailed, ["a wrong password", refused]);
  same(refused.serverResponseCode, "AUTHENTICATIONFAILED", "the code");
  client.close();
}

function whatItFound(client) {
  const offered = ["ENABLE", "IDLE", "MOVE", "UIDPLUS", "QUOTA", "CONDSTORE", "QRESYNC", "ID", "SPECIAL-USE", "LIST-STATUS"];
  for (const wanted of offered) check(client.capabilities.has(wanted), [wanted, client.capabilities]);
  for (const wanted of ["CONDSTORE", "QRESYNC", "UTF8=ACCEPT", "IMAP4REV2"]) check(client.enabled.has(wanted), [wanted, client.enabled]);
  same(client.secureConnection, SITE.mode !== "plain", "TLS");
  check(client._inflate && client._deflate, "the session is not compressed");
  same(client.serverInfo.name, "Posthouse", "ID");
}

async function folders(client) {
  same((await client.mailboxCreate(PROJECT)).created, true, "CREATE");
  same((await client.mailboxCreate(PROJECT)).created, false, "CREATE again");
  await client.mailboxSubscribe(PROJECT);
  const list = await client.list({ statusQuery: { messages: true, unseen: true } });
  const project = list.find((folder) => folder.path === PROJECT);
  same([project?.name, project?.delimiter, project?.subscribed, project?.status?.messages], ["今年", "/", true, 0], list);
  check(list.find((folder) => folder.path === "INBOX")?.specialUse === "\\Inbox", list);
  same((await client.listTree()).folders.find((folder) => folder.name === "Aufträge & mehr")?.folders.length, 1, "the tree");
  let refused;
  await client.mailboxOpen("Nowhere").catch((error) => (refused = error));
  check(refused?.mailboxMissing, ["a folder that is not there", refused]);
}

async function append(client) {
  const first = await client.append(PROJECT, MIXED, ["\\Seen", "$Todo"], SENT);
  const two = await client.append(PROJECT, letter("two"));
  // Well compressible and larger than any buffer on the way.
  const long = letter("long", "the same line again and again, to be deflated and inflated\r\n".repeat(10_000));
  const three = await client.append(PROJECT, long, ["\\Flagged"]);
  const status = await client.status(PROJECT, { messages: true, unseen: true, uidNext: true, highestModseq: true, size: true });
  same([status.messages, status.unseen, status.uidNext], [3, 2, three.uid + 1], status);
  same(status.size, MIXED.length + letter("two").length + long.length, "STATUS=SIZE");
  const opened = await client.mailboxOpen(PROJECT);
  same([opened.exists, opened.uidNext, opened.readOnly], [3, status.uidNext, false], opened);
  same([opened.highestModseq, opened.uidValidity], [status.highestModseq, first.uidValidity], opened);
  const { content } = await client.download(`${three.uid}`, undefined, { uid: true });
  check((await whole(content)).equals(Buffer.from(long)), "the long message came back as it was");
  return [first.uid, two.uid, three.uid];
}

async function fetch(client, first) {
  const query = { envelope: true, bodyStructure: true, flags: true, internalDate: true, size: true, source: true, bodyParts: ["2"] };
  const message = await client.fetchOne(`${first}`, query, { uid: true });
  const { envelope, bodyStructure } = message;
  same([envelope.subject, envelope.messageId, envelope.inReplyTo], ["Grüße", "<mixed@imapflow.example>", "<before@imapflow.example>"]);
  same(envelope.to.map((to) => [to.name, to.address]), [["Bob", "bob@here.example"], ["", "carol@here.example"]]);
  same(envelope.date.toISOString(), "2026-02-02T09:00:00.000Z", "the date");
  same([bodyStructure.type, bodyStructure.childNodes.map((part) => part.type)], ["multipart/mixed", ["text/plain", "image/png"]]);
  const [text, image] = bodyStructure.childNodes;
  same([text.part, text.parameters.charset, text.encoding], ["1", "utf-8", "8bit"], text);
  same([image.part, image.disposition, image.dispositionParameters.filename], ["2", "attachment", "a.png"], image);
  check(message.source.equals(MIXED) && message.size === MIXED.length, ["the source", message]);
  same(sorted(message.flags), ["$Todo", "\\Seen"], "flags");
  same(message.internalDate.toISOString(), SENT.toISOString(), "INTERNALDATE");
  check(message.modseq > 0n, message);
  // The library asks for BINARY where it is offered: the part comes decoded (RFC 3516).
  const wanted = message.binaryParts?.has("2") ? Buffer.from([0, 1, 2, 3]) : Buffer.from("AAECAw==");
  check(message.bodyParts.get("2").equals(wanted), message);
  const { meta, content } = await client.download(`${first}`, "2", { uid: true });
  same([meta.contentType, meta.filename], ["image/png", "a.png"], "what the part says of itself");
  check((await whole(content)).equals(Buffer.from([0, 1, 2, 3])), "the image, decoded");
}

async function searchAndFlags(client, [first, two, three]) {
  const uid = { uid: true };
  same(await client.search({ subject: "two" }, uid), [two], "SUBJECT");
  same(await client.search({ body: "Grüße" }, uid), [first], "BODY");
  same(await client.search({ not: { or: [{ flagged: true }, { keyword: "$Todo" }] } }, uid), [two], "NOT OR");
  same(await client.search({ on: new Date("2026-02-01T00:00:00Z") }, uid), [first], "ON");
  const found = await client.search({ all: true }, { uid: true, returnOptions: ["MIN", "MAX", "COUNT"] });
  same([found.min, found.max, found.count], [first, three, 3], "ESEARCH");
  const before = (await client.status(PROJECT, { highestModseq: true })).highestModseq;
  check(await client.messageFlagsAdd(`${two}`, ["\\Answered", "work"], uid), "STORE +");
  check(await client.messageFlagsRemove({ flagged: true }, ["\\Flagged"], uid), "STORE -");
  check(await client.messageFlagsSet([three], ["\\Draft"], uid), "STORE");
  const changed = new Map();
  for await (const message of client.fetch("1:*", { flags: true }, { uid: true, changedSince: before })) {
    changed.set(message.uid, sorted(message.flags));
  }
  same(changed, new Map([[two, ["\\Answered", "work"]], [three, ["\\Draft"]]]), "CHANGEDSINCE");
  // RFC 7162 §3.1.3: nothing is stored on what has changed since.
  await client.messageFlagsAdd(`${three}`, ["\\Flagged"], { uid: true, unchangedSince: before });
  same(sorted((await client.fetchOne(`${three}`, { flags: true }, uid)).flags), ["\\Draft"], "UNCHANGEDSINCE");
}

async function copyAndMove(client, [first, two, three]) {
  const uid = { uid: true };
  await client.mailboxCreate("Done");
  const gone = [];
  client.on("expunge", (event) => gone.push([event.vanished, event.uid]));
  const copied = await client.messageCopy(`${two}`, "Done", uid);
  const moved = await client.messageMove(`${three}`, "Done", uid);
  check(await client.messageDelete(`${first}`, uid), "UID EXPUNGE");
  same(gone, [[true, three], [true, first]], "VANISHED");
  same(await client.search({ all: true }, uid), [two], "what is left");
  const done = await client.mailboxOpen("Done", { readOnly: true });
  same([done.exists, done.readOnly, copied.uidValidity], [2, true, done.uidValidity], done);
  const there = {};
  for (const message of await client.fetchAll("1:*", { envelope: true, flags: true })) {
    there[message.envelope.subject] = [message.uid, ...sorted(message.flags)];
  }
  const wanted = { two: [copied.uidMap.get(two), "\\Answered", "work"], long: [moved.uidMap.get(three), "\\Draft"] };
  same(there, wanted, "Done");
}

/// What changed while it was away: a select with QRESYNC tells (RFC 7162 §3.2.5).
async function resynchronise(client) {
  const known = await client.mailboxOpen("Done");
  const { uidValidity, highestModseq } = known;
  await client.mailboxClose();
  const other = await logIn();
  await other.mailboxOpen("Done");
  const [two, long] = [await other.search({ subject: "two" }, { uid: true }), await other.search({ subject: "long" }, { uid: true })];
  await other.messageDelete(two, { uid: true });
  await other.messageFlagsAdd(long, ["\\Flagged"], { uid: true });
  await other.logout();
  const heard = { gone: [], flags: [] };
  client.on("expunge", (event) => event.earlier && heard.gone.push(event.uid));
  client.on("flags", (event) => heard.flags.push([event.uid, sorted(event.flags)]));
  await client.mailboxOpen("Done", { uidValidity, changedSince: highestModseq });
  same(heard, { gone: two, flags: [[long[0], ["\\Draft", "\\Flagged"]]] }, "QRESYNC");
}

async function quota(client) {
  const found = await client.getQuota("INBOX");
  same(found?.storage?.limit ?? null, SITE.quota, found);
}

/// What is delivered, and what another session takes away, is told without a question.
async function idle(client) {
  const { exists } = await client.mailboxOpen("INBOX");
  const idling = client.idle();
  const came = told(client, "exists", (event) => event.count === exists + 1);
  await deliver(letter("during-idle"));
  await came;
  const other = await logIn();
  await other.mailboxOpen("INBOX");
  const [mine] = await other.search({ subject: "during-idle" }, { uid: true });
  const went = told(client, "expunge", (event) => event.uid === mine);
  await other.messageDelete(`${mine}`, { uid: true });
  await went;
  await other.logout();
  // A command ends IDLE.
  same(await client.search({ subject: "during-idle" }, { uid: true }), [], "it is gone");
  await idling;
}

async function main() {
  if (SITE.mode === "tls") await refuseWrongPassword();
  const client = await logIn();
  whatItFound(client);
  await folders(client);
  const uids = await append(client);
  await fetch(client, uids[0]);
  await searchAndFlags(client, uids);
  await copyAndMove(client, uids);
  await resynchronise(client);
  await quota(client);
  await idle(client);
  same((await client.mailboxRename(PROJECT, RENAMED)).newPath, RENAMED, "RENAME");
  await client.mailboxDelete(RENAMED);
  const left = (await client.list()).map((folder) => folder.path);
  check(!left.includes(PROJECT) && !left.includes(RENAMED) && left.includes("Done"), left);
  const closed = once(client, "close");
  await client.logout();
  await closed;
}

// Node ends with 0 when nothing is left to wait for, which is no success before the end of main.
process.exitCode = 1;
main().then(
  () => (process.exitCode = 0),
  (error) => {
    console.error(error);
    process.exit();
  },
);
