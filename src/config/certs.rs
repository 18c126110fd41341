//! `[auth.certs]`: whom client certificates stand for.

use super::file::File;
use super::problems::{Problems, quoted};
use super::schema::section;
use super::settings::AuthMethod;
use super::tenants::is_source;
use super::tls::TlsMode;
use crate::auth::certificate::Field;
use crate::auth::certificate_map::{CertificateMap, Rule};
use crate::tenant::Source;

section! {
    /// Whom client certificates stand for. The rules are tried in the order of their names. Without
    /// any, a certificate stands for the user in its common name.
    CertRule {
        /// What is looked at in the certificate: the subject's common name (`cn`), one of its
        /// organizational units (`ou`) or its organization (`o`), or one of the alternative names:
        /// `dns`, `email`, `uri`.
        field: Field = Field::CommonName;
        /// A regular expression that must match all of it.
        pattern: String = ".*".to_owned();
        /// The user that it may log in as. `$0` is what was looked at, `$1` what the first group of
        /// the pattern has matched.
        user: String = "$0".to_owned();
        /// Its tenant, in the same way, for the source `cert`.
        tenant: Option<String> = None, unset "none" example r#""$0""#;
    }
}

/// The rules. What is wrong with one is noted.
pub(super) fn map(file: &File, problems: &mut Problems<'_>) -> CertificateMap {
    let mut rules = Vec::new();
    for (name, typed) in &file.auth.certs {
        let rule = Rule::new(
            typed.field,
            &typed.pattern,
            &typed.user,
            typed.tenant.as_deref(),
        );
        match rule {
            Ok(rule) => rules.push(rule),
            Err(error) => {
                problems.key(&format!("auth.certs.{}", quoted(name)), "pattern", error);
            }
        }
    }
    CertificateMap::new(rules)
}

/// What needs TLS, or certificates of clients, and does not have them.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    let tls = file.listen.tls.as_ref();
    let tls = tls.filter(|tls| tls.mode != TlsMode::Disable);
    let has_ca = tls.is_some_and(|tls| tls.client_ca.is_some());
    if file.auth.method == AuthMethod::Cert && !has_ca {
        let text = r#"is "cert", which needs a client_ca in [listen.tls]"#;
        problems.key("auth", "method", text);
    }
    if is_source(file, Source::Cert) && !has_ca {
        let text = r#"names "cert", which needs a client_ca in [listen.tls]"#;
        problems.key("tenant", "sources", text);
    }
    if is_source(file, Source::Sni) && tls.is_none() {
        let text = r#"names "sni", which needs [listen.tls]"#;
        problems.key("tenant", "sources", text);
    }
    for (name, typed) in &file.auth.certs {
        if typed.tenant.is_some() && !is_source(file, Source::Cert) {
            let section = format!("auth.certs.{}", quoted(name));
            let text = format!(
                r#"tenant in [{section}] has no effect: "cert" is not among the sources in [tenant]"#
            );
            problems.warn(&section, "tenant", text);
        }
    }
    if let Some(tenant) = &file.tenant
        && let Some(domain) = &tenant.sni_domain
    {
        let is_name = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !label.is_empty() && label.bytes().all(plain)
        };
        if !domain.split('.').all(is_name) {
            let text = r#"must be a domain, as "db.example.com""#;
            problems.key("tenant", "sni_domain", text);
        }
    }
}
