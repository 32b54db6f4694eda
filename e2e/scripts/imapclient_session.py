"""What an application does with IMAPClient. `mode` says how it connects: plain, starttls or tls; `quota` is the account's
quota in octets, where it has one."""

import datetime

from common import HOST, SITE, check, deliver, letter, tls
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

SENT = datetime.datetime(2026, 2, 1, 8, 0, tzinfo=datetime.timezone.utc)
MIXED = (
    b"From: Ann Sender <ann@far.example>\r\nTo: Bob <bob@here.example>, carol@here.example\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Mon, 02 Feb 2026 10:00:00 +0100\r\n"
    b"Message-ID: <mixed@imapclient.example>\r\nIn-Reply-To: <before@imapclient.example>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="sep"\r\n\r\n'
    b"--sep\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    b'--sep\r\nContent-Type: image/png; name="a.png"\r\nContent-Transfer-Encoding: base64\r\n'
    b'Content-Disposition: attachment; filename="a.png"\r\n\r\nAAECAw==\r\n--sep--\r\n'
)
# Beyond ASCII, with the letter that the encoding of names uses (RFC 3501 §5.1.3).
PROJECT = "Aufträge & mehr/今年"
RENAMED = "Aufträge & mehr/去年"


def connect():
    """A session before login."""
    if SITE["mode"] == "tls":
        session = IMAPClient(HOST, SITE["imaps"], ssl_context=tls(), timeout=60)
    else:
        session = IMAPClient(HOST, SITE["imap"], ssl=False, timeout=60)
    if SITE["mode"] == "starttls":
        session.starttls(tls())
    session.normalise_times = False
    return session


def log_in():
    session = connect()
    session.login(SITE["account"]["address"], SITE["account"]["password"])
    return session


def appended_uid(answer):
    """RFC 4315 §3."""
    check(b"[APPENDUID " in answer, answer)
    return int(answer.partition(b"]")[0].split()[-1])


def idle_until(session, is_it):
    """Waits in IDLE for a response."""
    seen = []
    while not any(is_it(response) for response in seen):
        came = session.idle_check(timeout=60)
        check(came, ("nothing came any more", seen))
        seen.extend(came)


def refuse_wrong_password():
    session = connect()
    try:
        session.login(SITE["account"]["address"], "wrong")
    except LoginError as error:
        check("AUTHENTICATIONFAILED" in str(error), error)
    else:
        check(False, "a wrong password was good")
    session.login(SITE["account"]["address"], SITE["account"]["password"])
    session.logout()


def what_it_found(session):
    for wanted in ["ENABLE", "IDLE", "MOVE", "UIDPLUS", "QUOTA", "CONDSTORE", "QRESYNC", "MULTIAPPEND", "ID", "UNSELECT"]:
        check(session.has_capability(wanted), (wanted, session.capabilities()))
    check(session.id_({"name": "trial"}), "ID")
    check(set(session.enable("CONDSTORE", "QRESYNC")) == {b"CONDSTORE", b"QRESYNC"}, "ENABLE")
    check(session.namespace().personal == (("", "/"),), session.namespace())


def folders(session):
    session.create_folder(PROJECT)
    check(session.folder_exists(PROJECT), session.list_folders())
    listed = {name: (flags, delimiter) for flags, delimiter, name in session.list_folders()}
    check("INBOX" in listed and listed[PROJECT] == ((b"\\HasNoChildren",), b"/"), listed)
    session.subscribe_folder(PROJECT)
    check(PROJECT in [name for _, _, name in session.list_sub_folders()], "LSUB")
    try:
        session.select_folder("Nowhere")
    except IMAPClientError as error:
        check("NONEXISTENT" in str(error), error)
    else:
        check(False, "a folder that is not there was selected")


def append(session):
    first = appended_uid(session.append(PROJECT, MIXED, (b"\\Seen", b"$Todo"), SENT))
    session.multiappend(PROJECT, [letter("two"), {"msg": letter("three"), "flags": [b"\\Flagged"], "date": SENT}])
    status = session.folder_status(PROJECT, ["MESSAGES", "UIDNEXT", "UNSEEN", "HIGHESTMODSEQ"])
    check((status[b"MESSAGES"], status[b"UNSEEN"]) == (3, 2), status)
    selected = session.select_folder(PROJECT)
    check(selected[b"EXISTS"] == 3 and b"READ-WRITE" in selected, selected)
    for name in [b"UIDNEXT", b"HIGHESTMODSEQ"]:
        check(selected[name] == status[name], (selected, status))
    uids = session.search()
    check(len(uids) == 3 and uids[0] == first, uids)
    return uids


def fetch(session, first):
    items = ["ENVELOPE", "BODYSTRUCTURE", "FLAGS", "INTERNALDATE", "RFC822.SIZE", "MODSEQ", "BODY.PEEK[]"]
    message = session.fetch([first], items)[first]
    envelope = message[b"ENVELOPE"]
    check(envelope.subject == b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", envelope)
    check([str(address) for address in envelope.to] == ["Bob <bob@here.example>", "carol@here.example"], envelope)
    check(envelope.message_id == b"<mixed@imapclient.example>", envelope)
    check(envelope.in_reply_to == b"<before@imapclient.example>", envelope)
    check(envelope.date.astimezone(datetime.timezone.utc).timetuple()[:5] == (2026, 2, 2, 9, 0), envelope)
    structure = message[b"BODYSTRUCTURE"]
    check(structure.is_multipart and structure[1].lower() == b"mixed" and len(structure[0]) == 2, structure)
    image = structure[0][1]
    check((image[0].lower(), image[1].lower(), image[5].lower()) == (b"image", b"png", b"base64"), image)
    check(message[b"BODY[]"] == MIXED and message[b"RFC822.SIZE"] == len(MIXED), message)
    check(set(message[b"FLAGS"]) == {b"\\Seen", b"$Todo"} and message[b"MODSEQ"][0] > 0, message)
    check(message[b"INTERNALDATE"] == SENT, message[b"INTERNALDATE"])
    check(session.fetch([first], ["BODY.PEEK[2]"])[first][b"BODY[2]"] == b"AAECAw==", "a part")


def search_and_flags(session, uids):
    first, two, three = uids
    check(session.search(["SUBJECT", "two"]) == [two], "SUBJECT")
    check(session.search(["BODY", "Grüße"], charset="UTF-8") == [first], "BODY in UTF-8")
    check(session.search(["NOT", ["OR", "FLAGGED", ["KEYWORD", "$Todo"]]]) == [two], "NOT OR")
    check(session.search(["ON", datetime.date(2026, 2, 1)]) == [first, three], "ON")
    before = session.folder_status(PROJECT, ["HIGHESTMODSEQ"])[b"HIGHESTMODSEQ"]
    check(set(session.add_flags([two], [b"\\Answered", b"work"])[two]) == {b"\\Answered", b"work"}, "add_flags")
    check(session.remove_flags([three], [b"\\Flagged"])[three] == (), "remove_flags")
    session.set_flags([three], [b"\\Draft"], silent=True)
    check(session.get_flags([three])[three] == (b"\\Draft",), session.get_flags([three]))
    changed = session.fetch(uids, ["FLAGS"], [f"CHANGEDSINCE {before}"])
    check(sorted(changed) == [two, three], (before, changed))
    found = session.search(["MODSEQ", str(before + 1)])
    check(list(found) == [two, three] and found.modseq > before, (before, found, found.modseq))


def copy_and_move(session, uids):
    first, two, three = uids
    session.create_folder("Done")
    session.copy([two], "Done")
    session.move([three], "Done")
    session.delete_messages([first])
    session.uid_expunge([first])
    check(session.search() == [two], session.search())
    session.unselect_folder()
    done = session.select_folder("Done", readonly=True)
    check(done[b"EXISTS"] == 2 and b"READ-ONLY" in done, done)
    there = session.fetch(session.search(), ["ENVELOPE", "FLAGS"])
    found = {entry[b"ENVELOPE"].subject: set(entry[b"FLAGS"]) for entry in there.values()}
    check(found == {b"two": {b"\\Answered", b"work"}, b"three": {b"\\Draft"}}, there)
    session.close_folder()


def quota(session):
    root, quotas = session.get_quota_root("INBOX")
    limits = {quota.resource: quota.limit for quota in quotas}
    # RFC 9208 §5.1: STORAGE counts units of 1024 octets.
    check(limits == ({"STORAGE": SITE["quota"] // 1024} if SITE["quota"] else {}), (root, quotas))
    check(root.mailbox == "INBOX" and len(root.quota_roots) == len(quotas), (root, quotas))


def idle(session):
    """What is delivered, and what another session takes away, is told without a question."""
    count = session.select_folder("INBOX")[b"EXISTS"]
    session.idle()
    deliver(letter("during-idle"))
    idle_until(session, lambda response: response == (count + 1, b"EXISTS"))
    other = log_in()
    other.select_folder("INBOX")
    mine = other.search(["SUBJECT", "during-idle"])
    check(len(mine) == 1, mine)
    other.delete_messages(mine)
    other.expunge()
    # RFC 7162 §3.2.7: with QRESYNC it is VANISHED.
    idle_until(session, lambda response: response[0] == b"VANISHED" and response[1] in (mine[0], b"%d" % mine[0]))
    session.idle_done()
    check(session.search() == other.search(), "both see the same")
    other.logout()


# It takes a second, which is not spent in every mode.
if SITE["mode"] == "tls":
    refuse_wrong_password()
session = log_in()
what_it_found(session)
folders(session)
uids = append(session)
fetch(session, uids[0])
search_and_flags(session, uids)
copy_and_move(session, uids)
quota(session)
idle(session)
session.rename_folder(PROJECT, RENAMED)
check(session.folder_exists(RENAMED) and not session.folder_exists(PROJECT), session.list_folders())
session.delete_folder(RENAMED)
check(not session.folder_exists(RENAMED), session.list_folders())
session.logout()
