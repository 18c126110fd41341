//! What can be typed but does nothing yet: the only place that knows.
//!
//! What an operator would rely on for safety (encryption, tenants kept apart) is an error, so that
//! nobody believes it is on; what is merely missing is a warning. When a feature lands, its lines
//! here go.

use super::file::File;
use super::problems::{Problems, quoted};
use super::value::{Source, TlsMode};

/// Sections that are refused.
pub(super) const REFUSED: [&str; 2] = ["listen.tls", "tenant"];

/// Sections that are read and do nothing.
pub(super) const NO_EFFECT: [&str; 4] = ["console", "metrics", "limits", "tenants"];

/// Sections of which a part does nothing yet, and what is to be said of it.
pub(super) const PARTIAL: [(&str, &str); 1] = [(
    "http",
    "serves /healthz and /readyz; /metrics and the dashboard are not available in this version",
)];

/// Notes everything in the file that this version cannot do.
pub(super) fn unsupported(file: &File, problems: &mut Problems<'_>) {
    if let Some(tls) = &file.listen.tls {
        let path = "listen.tls";
        if tls.mode != Some(TlsMode::Disable) {
            problems.at(
                path,
                "mode",
                r#"TLS for clients is not available in this version: [listen.tls] must say mode = "disable" or be left out"#,
            );
        }
        for (key, value) in [
            ("cert", &tls.cert),
            ("key", &tls.key),
            ("client_ca", &tls.client_ca),
        ] {
            if value.is_some() {
                problems.key(
                    path,
                    key,
                    "has no use: TLS for clients is not available in this version",
                );
            }
        }
    }
    if let Some(tenant) = &file.tenant {
        problems.at(
            "tenant",
            "",
            "tenant context is not available in this version: without it nothing keeps tenants apart, so [tenant] is refused",
        );
        for (source, name) in [
            (Source::Jwt, "jwt"),
            (Source::Cert, "cert"),
            (Source::Sni, "sni"),
        ] {
            if tenant.sources.0.contains(&source) {
                problems.key(
                    "tenant",
                    "sources",
                    format_args!("names {name:?}, which is not available in this version"),
                );
            }
        }
    }
    let present = [
        file.console.is_some(),
        file.metrics.is_some(),
        file.limits.is_some(),
        !file.tenants.is_empty(),
    ];
    for (section, _) in NO_EFFECT
        .iter()
        .zip(present)
        .filter(|(_, present)| *present)
    {
        let text = format!("[{section}] is read but has no effect in this version");
        problems.warn(section, "", text);
    }
    for (section, status) in PARTIAL.iter().filter(|_| file.http.is_some()) {
        problems.warn(section, "", format!("[{section}] {status}"));
    }
    for name in file
        .users
        .iter()
        .filter(|(_, user)| user.bypass)
        .map(|(name, _)| name)
    {
        let section = format!("users.{}", quoted(name));
        let text = format!("bypass in [{section}] is read but has no effect in this version");
        problems.warn(&section, "bypass", text);
    }
}
