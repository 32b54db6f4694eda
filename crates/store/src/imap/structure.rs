//! ENVELOPE and BODYSTRUCTURE: what `message` found, as what `imap-proto` writes.

use imap_proto::structure::{
    BodyExtension, BodyStructure, Disposition, ImapAddress, ImapEnvelope, Multipart, PartKind, SinglePart,
};
use message::{AddressEntry, Content, Message, Mime, NamedAddress, Part};
use std::borrow::Cow;

/// ENVELOPE.
pub(super) fn envelope(found: &message::ImapEnvelope<'_>) -> ImapEnvelope {
    ImapEnvelope {
        date: owned(found.date.as_ref()),
        subject: owned(found.subject.as_ref()),
        from: addresses(&found.from),
        sender: addresses(&found.sender),
        reply_to: addresses(&found.reply_to),
        to: addresses(&found.to),
        cc: addresses(&found.cc),
        bcc: addresses(&found.bcc),
        in_reply_to: owned(found.in_reply_to.as_ref()),
        message_id: owned(found.message_id.as_ref()),
    }
}

/// BODYSTRUCTURE of a part with all inside it. Nests at most [`message::DEPTH_MAX`] deep.
pub(super) fn body(message: &Message<'_>, part: &Part<'_>) -> BodyStructure {
    let mime = part.mime();
    match part.content() {
        Content::Multipart => BodyStructure::Multipart(Multipart {
            parts: message.children(part).map(|child| body(message, child)).collect(),
            subtype: mime.content_type.subtype().to_vec(),
            params: params(&mime.content_type.params),
            extension: extension(&mime),
        }),
        Content::Leaf | Content::Message => BodyStructure::Single(Box::new(single(message, part, &mime))),
    }
}

fn single(message: &Message<'_>, part: &Part<'_>, mime: &Mime<'_>) -> SinglePart {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let lines = count(part.lines());
    let kind = match message.embedded(part) {
        Some(root) => PartKind::Message {
            envelope: Box::new(envelope(&root.envelope())),
            body: Box::new(body(message, root)),
            lines,
        },
        None if mime.content_type.is_kind("text") => PartKind::Text { lines },
        None => PartKind::Basic,
    };
    SinglePart {
        media_type: mime.content_type.kind().to_vec(),
        subtype: mime.content_type.subtype().to_vec(),
        params: params(&mime.content_type.params),
        id: owned(mime.id.as_ref()),
        description: owned(mime.description.as_ref()),
        encoding: mime.encoding.to_vec(),
        octets: count(part.octets()),
        kind,
        md5: owned(mime.md5.as_ref()),
        extension: extension(mime),
    }
}

fn extension(mime: &Mime<'_>) -> BodyExtension {
    BodyExtension {
        disposition: mime
            .disposition
            .as_ref()
            .map(|shown| Disposition { kind: shown.kind.to_vec(), params: params(&shown.params) }),
        language: mime.language.iter().map(|tag| tag.to_vec()).collect(),
        location: owned(mime.location.as_ref()),
    }
}

fn params(given: &message::Params<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    given.iter().map(|param| (param.name.to_vec(), param.value.to_vec())).collect()
}

fn addresses(entries: &[AddressEntry<'_>]) -> Vec<ImapAddress> {
    entries.iter().map(address).collect()
}

fn address(entry: &AddressEntry<'_>) -> ImapAddress {
    match entry {
        AddressEntry::Address(NamedAddress { name, route, local, domain }) => ImapAddress {
            name: owned(name.as_ref()),
            adl: owned(route.as_ref()),
            mailbox: Some(local.to_vec()),
            host: Some(domain.to_vec()),
        },
        AddressEntry::GroupStart(name) => ImapAddress { mailbox: Some(name.to_vec()), ..ImapAddress::default() },
        AddressEntry::GroupEnd => ImapAddress::default(),
    }
}

fn owned(text: Option<&Cow<'_, [u8]>>) -> Option<Vec<u8>> {
    text.map(|text| text.to_vec())
}
