use super::*;
use proptest::prelude::*;

/// What a decoder said, in the order it said it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    text: Vec<u8>,
    fault: Option<(usize, TextFault)>,
    end: Option<usize>,
}

impl TextSink for Said {
    fn text(&mut self, octets: &[u8]) {
        if self.fault.is_none() {
            self.text.extend_from_slice(octets);
        }
    }
    fn fault(&mut self, fault: TextFault) {
        self.fault = self.fault.or(Some((self.text.len(), fault)));
    }
}

fn decode(parts: &[&[u8]]) -> Said {
    let (mut decoder, mut said, mut before) = (DotDecoder::new(40), Said::default(), 0);
    for part in parts {
        match decoder.decode(part, &mut said) {
            Decoded::More => before += part.len(),
            Decoded::End(octets) => {
                said.end = Some(before + octets);
                break;
            }
        }
    }
    said
}

fn encode(parts: &[&[u8]]) -> Result<Vec<u8>, LineFault> {
    let (mut encoder, mut out) = (DotEncoder::default(), Vec::new());
    for part in parts {
        match encoder.encode(Bytes::copy_from_slice(part))? {
            Stuffed::AsIs(bytes) => out.extend_from_slice(&bytes),
            Stuffed::Copy(bytes) => out.extend_from_slice(&bytes),
        }
    }
    out.extend_from_slice(encoder.finish()?);
    Ok(out)
}

#[test]
fn stuffing_of_rfc_5321_4_5_2() {
    let said = decode(&[b"..one\r\n.two\r\n...\r\n\r\n.\r\nQUIT\r\n"]);
    assert_eq!(said.text, b".one\r\ntwo\r\n..\r\n\r\n");
    assert_eq!((said.fault, said.end), (None, Some(23)));
    assert_eq!(decode(&[b".\r\n"]).end, Some(3));
    assert_eq!(encode(&[b".one\r\n", b".", b".\r\nx"]).as_deref(), Ok(&b"..one\r\n...\r\nx\r\n.\r\n"[..]));
    assert_eq!(encode(&[]).as_deref(), Ok(&b".\r\n"[..]));
}

#[test]
fn no_other_octets_end_a_message() {
    let cr = TextFault::Line(LineFault::BareCr);
    let lf = TextFault::Line(LineFault::BareLf);
    for (smuggled, fault) in [
        ("a\n.\nb\r\n.\r\n", lf),
        ("a\n.\r\nb\r\n.\r\n", lf),
        ("a\r\n.\nb\r\n.\r\n", lf),
        ("a\r.\r\nb\r\n.\r\n", cr),
        ("a\r\n.\rb\r\n.\r\n", cr),
        ("a\r\n.\r\r\nb\r\n.\r\n", cr),
        ("a\r.\rb\r\n.\r\n", cr),
        ("a\r\r\n.\r\r\n.\r\n", cr),
        ("\n.\r\n\r\n.\r\n", lf),
        (".\n\r\n.\r\n", lf),
    ] {
        let whole = decode(&[smuggled.as_bytes()]);
        assert_eq!(whole.end, Some(smuggled.len()), "{smuggled:?} ends at its true end only");
        assert_eq!(whole.fault.map(|(_, fault)| fault), Some(fault), "{smuggled:?}");
    }
}

#[test]
fn our_own_text_has_no_lone_line_end() {
    for parts in [&[&b"a\nb"[..]][..], &[b"a\r", b"b"], &[b"a\r"], &[b"a\r\n", b"\n.\n"]] {
        assert!(encode(parts).is_err(), "{parts:?}");
    }
}

#[test]
fn a_line_has_a_limit() {
    let line = [b"x".repeat(40), b"\r\n".to_vec(), b"x".repeat(41), b"\r\n.\r\n".to_vec()].concat();
    let said = decode(&[&line]);
    assert_eq!(said.fault, Some((82, TextFault::LineTooLong)));
    assert_eq!(said.end, Some(line.len()));
}

fn pieces<'a>(octets: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (octets.len() + 1)).chain([0, octets.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &octets[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_split_is_the_same(text in "[a.\r\n]{0,60}", cuts in proptest::collection::vec(0usize..100, 0..8)) {
        let whole = decode(&[text.as_bytes()]);
        prop_assert_eq!(&whole, &decode(&pieces(text.as_bytes(), &cuts)));
        let bytewise: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        prop_assert_eq!(&whole, &decode(&bytewise));
    }

    #[test]
    fn what_is_stuffed_comes_out(lines in proptest::collection::vec("[a.]{0,5}", 0..12), cuts in proptest::collection::vec(0usize..100, 0..6)) {
        let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed = encode(&pieces(text.as_bytes(), &cuts)).expect("lines");
        let said = decode(&[&stuffed]);
        prop_assert_eq!(said.text, text.into_bytes());
        prop_assert_eq!((said.fault, said.end), (None, Some(stuffed.len())));
    }
}
