//! Odd messages: what mail looks like when nobody checked it.

/// A message to append, as templates with `|` for CRLF.
pub(super) fn letter(number: usize) -> Vec<u8> {
    let text = LETTERS.get(number % LETTERS.len()).copied().unwrap_or_default();
    let mut octets = Vec::with_capacity(text.len() + 32);
    for octet in text.bytes() {
        match octet {
            b'|' => octets.extend_from_slice(b"\r\n"),
            // Octets that are no UTF-8 cannot stand in a template.
            b'@' if text.contains("Subject: raw") => octets.push(0xe9),
            plain => octets.push(plain),
        }
    }
    octets
}

/// How many different ones there are.
pub(super) const COUNT: usize = LETTERS.len();

/// All have a date that can be read: SENTON and its like of a message without one are each server's own.
const LETTERS: &[&str] = &[
    "From: Ann <ann@one.test>|To: bob@two.test|Subject: plain|Date: Mon, 7 Feb 1994 21:52:25 -0800|Message-ID: <1@one.test>||Hello Bob.|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: no other field||short",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|||body without a header|",
    "From: \"Ann \\\"A\\\" Q\" <ann@one.test>|Sender: secretary@one.test|Reply-To: list@one.test, x@y.test|To: friends: joe@x.test, Amy <amy@y.test>;, lone@z.test|Cc: undisclosed-recipients:;|Bcc: hidden@q.test|In-Reply-To: <1@one.test> <2@one.test>|Subject: group and all|Message-ID: <3@one.test>|Date: Tue, 8 Feb 1994 01:02:03 GMT||text|",
    "From: (comment) ann@one.test (Ann Comment)|To: bob (x (nested) y) @ two . test|Subject: comments|Date: 9 Feb 94 10:00 EST||c|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: folded|  over| \tthree lines|From: =?iso-8859-1?q?J=F6rg?=| <joerg@one.test>|To: a@b.test,| c@d.test,|\te@f.test|References: <a@b>|  <c@d>||folded|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: mixed|From: m@x.test|MIME-Version: 1.0|Content-Type: multipart/mixed; boundary=\"sep\"||preamble|--sep|Content-Type: text/plain; charset=us-ascii||first part|--sep|Content-Type: text/html; charset=\"utf-8\"; x=y|Content-Transfer-Encoding: quoted-printable|Content-Disposition: inline||<b>sec=6Fnd</b>|--sep|Content-Type: application/octet-stream; name=\"f.bin\"|Content-Transfer-Encoding: base64|Content-Disposition: attachment; filename=\"f.bin\"; size=4|Content-ID: <cid@x>|Content-Description: a file|Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==|Content-Language: en, de|Content-Location: http://x.test/f||AAECAw==|--sep--|epilogue|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: nested|MIME-Version: 1.0|Content-Type: multipart/mixed; boundary=outer||--outer|Content-Type: multipart/alternative; boundary=inner||--inner||plain alternative|--inner|Content-Type: text/html||<p>html</p>|--inner--|between|--outer|Content-Type: message/rfc822||From: inside@x.test|Subject: embedded|Message-ID: <in@x>|MIME-Version: 1.0|Content-Type: multipart/related; boundary=deep; type=\"text/plain\"||--deep|Content-Type: text/plain||deep text|--deep|Content-Type: image/png|Content-Transfer-Encoding: base64||iVBORw0KGgo=|--deep--||--outer--|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: forward|Content-Type: message/rfc822||Subject: forwarded plain|From: deep@x.test||the forwarded text|second line|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: digest|Content-Type: multipart/digest; boundary=d||--d||Subject: one in digest||one|--d||Subject: two in digest||two|--d--|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: no end|Content-Type: multipart/mixed; boundary=never||--never||part without an end|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: raw caf@|From: Ren@ <r@x.test>|Content-Type: text/plain; charset=iso-8859-1|Content-Transfer-Encoding: 8bit||d@j@ vu|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: =?utf-8?B?w7xtbGF1dA==?= and =?iso-8859-1?Q?a_b=e4?=|To: =?utf-8?q?B=C3=B6b?= <bob@two.test>||encoded words|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: routes|From: <@relay.test,@other.test:ann@one.test>|To: \"quoted local\"@two.test||r|",
    "Subject: bare|From: ann|To: |Date: 3 Feb 1994 01:02 GMT||bare address|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: twice|From: a@x.test|From: b@x.test|To: t1@x.test|To: t2@x.test||doubled fields|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: only a header|From: only@x.test",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: only a header two|From: only@x.test|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: only a header three|From: only@x.test||",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: empty parts|Content-Type: multipart/mixed; boundary=e||--e||--e|Content-Type: text/plain||--e|Content-Type: text/plain|||--e--|",
    "Subject: spaces|From : spaced@x.test|X-Empty:|X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789|Date: Wed, 09 Feb 1994 23:59:59 -1200||spaced|",
    "Subject: dates|Date: Thu, 10 Feb 1994 00:00:01 +1200 (NZT)|From: d@x.test|Message-ID: no brackets|In-Reply-To: your letter of Monday||dates|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: same boundary inside|Content-Type: multipart/mixed; boundary=same||--same|Content-Type: multipart/mixed; boundary=same2||--same2||inner|--same||outer again|--same--|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: dispositions|Content-Type: text/plain; charset=\"a\\\"b\"|Content-Disposition: attachment; filename=\"plain name.txt\"|Content-ID: bare-id||x|",
    "Date: Sat, 5 Feb 1994 10:11:12 +0000|Subject: embedded report|Content-Type: multipart/report; report-type=delivery-status; boundary=b||--b||human|--b|Content-Type: message/delivery-status||Reporting-MTA: dns; x.test||Final-Recipient: rfc822;a@x|--b|Content-Type: message/rfc822||Subject: returned|From: r@x.test||returned text|--b--|",
];
