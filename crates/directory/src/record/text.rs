//! Serde for types that have one text form: `#[serde(with = "text")]`, `text::option`, `text::list`.

use mail_types::{AccountId, Address, Domain, NodeName, StoreName};
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::borrow::Cow;
use std::fmt::Display;

/// A type that is written as it is displayed and read back by parsing.
pub(crate) trait TextForm: Display + Sized {
    fn from_text(text: &str) -> Result<Self, String>;
}

macro_rules! text_form {
    ($($name:ty),*) => {$(
        impl TextForm for $name {
            fn from_text(text: &str) -> Result<Self, String> {
                Self::parse(text).map_err(|error| format!("{error}: {text:?}"))
            }
        }
    )*};
}
text_form!(Address, Domain, NodeName, StoreName, super::RuleName, super::Host, super::HostAt);

impl TextForm for AccountId {
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("an account id has 32 hexadecimal digits: {text:?}"))
    }
}

pub(crate) fn serialize<T: TextForm, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, T: TextForm, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    T::from_text(&text).map_err(D::Error::custom)
}

pub(crate) mod option {
    use super::TextForm;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: TextForm, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: TextForm, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| T::from_text(&text).map_err(D::Error::custom)).transpose()
    }
}

pub(crate) mod list {
    use super::TextForm;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: TextForm, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(T::to_string))
    }

    pub(crate) fn deserialize<'de, T: TextForm, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| T::from_text(text).map_err(D::Error::custom)).collect()
    }
}
