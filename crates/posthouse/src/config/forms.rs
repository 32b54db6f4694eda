//! `[[proxy.login_form]]`: what a bare login name means at an address of this machine.

use super::problem::Problems;
use super::section::{At, Section};
use mail_types::Domain;
use std::net::IpAddr;

/// What the file says.
pub(super) struct RawLoginForm {
    local: Option<At<IpAddr>>,
    domain: Option<At<Domain>>,
}

impl RawLoginForm {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self { local: section.required("local", local), domain: section.required("domain", Domain::parse) }
    }

    /// One form for an address.
    pub(super) fn check(raw: Vec<Self>, problems: &Problems) -> Vec<(IpAddr, Domain)> {
        let mut forms: Vec<(IpAddr, Domain)> = Vec::new();
        for Self { local, domain } in raw {
            let (Some(local), Some(domain)) = (local, domain) else { continue };
            match forms.iter().find(|(taken, _)| *taken == local.value) {
                Some((taken, first)) => {
                    problems.add(local.problem(format!("{taken} has a form already, with the domain {first}")));
                }
                None => forms.push((local.value, domain.value)),
            }
        }
        forms
    }
}

/// As the system tells it of a connection.
fn local(text: &str) -> Result<IpAddr, &'static str> {
    match text.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Err("is an address that no client connects to"),
        Ok(address) => Ok(address.to_canonical()),
        Err(_) => Err("is no address such as 192.0.2.5: a form holds for all ports of one"),
    }
}
