//! The tenant in the name under which a client looked for its server: `acme.db.example.com`.
//!
//! The client chooses that name, as it chooses its user name: it says who the tenant is, and proves
//! nothing.

/// What `name` says of the tenant; `None` if it is not a name that says anything: the domain itself,
/// another domain, or, where no domain is configured, a name of a single label.
///
/// Below the domain there must be exactly one label, as a wildcard certificate has it: of more than
/// one the result is empty, which is no tenant's id.
pub fn label<'n>(name: &'n str, domain: Option<&str>) -> Option<&'n str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let Some(domain) = domain else {
        return name.split_once('.').map(|(label, _)| label);
    };
    let at = name.len().checked_sub(domain.len())?;
    let (front, end) = name.split_at_checked(at)?;
    if !end.eq_ignore_ascii_case(domain) {
        return None;
    }
    let label = front.strip_suffix('.')?;
    Some(if label.contains('.') { "" } else { label })
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn the_first_label_below_the_domain_is_the_tenant() {
        let domain = Some("db.example.com");
        for (name, tenant) in [
            ("acme.db.example.com", Some("acme")),
            ("acme.DB.example.com.", Some("acme")),
            ("db.example.com", None),
            ("acmedb.example.com", None),
            ("acme.db.example.org", None),
            ("example.com", None),
            ("localhost", None),
            ("a.b.db.example.com", Some("")),
            (".db.example.com", Some("")),
            ("", None),
            ("é.db.example.com", Some("é")),
        ] {
            assert_eq!(label(name, domain), tenant, "{name}");
        }
        for (name, tenant) in [
            ("acme.db.example.com", Some("acme")),
            ("acme.localhost", Some("acme")),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(label(name, None), tenant, "{name}");
        }
    }
}
