//! Octets that a transcript cannot show.

use super::Site;

#[test]
fn nul_goes_in_and_comes_out() {
    let site = Site::new();
    let mut client = site.client();
    let text = b"Content-Transfer-Encoding: binary\r\n\r\n\0a\xff\0";
    let append = [format!("a APPEND INBOX ~{{{}+}}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat();
    assert_eq!(client.send(&site, &append), b"a OK [APPENDUID 1 1] APPEND completed\r\n");
    client.send(&site, b"b EXAMINE INBOX\r\n");
    // RFC 3516 §4.2: a literal8, which holds what was sent.
    let expected = b"* 1 FETCH (BINARY[1] ~{4}\r\n\0a\xff\0)\r\nc OK FETCH completed\r\n";
    assert_eq!(client.send(&site, b"c FETCH 1 BINARY.PEEK[1]\r\n"), expected);
    let whole = client.send(&site, b"d FETCH 1 BINARY.PEEK[]\r\n");
    assert!(whole.windows(text.len()).any(|part| part == text), "{}", String::from_utf8_lossy(&whole));
    // RFC 9051 §4.3: a literal holds no NUL.
    let body = client.send(&site, b"e FETCH 1 BODY.PEEK[]\r\n");
    assert!(!body.contains(&0) && body.windows(2).any(|part| part == b"a\xff"), "{}", String::from_utf8_lossy(&body));
}
