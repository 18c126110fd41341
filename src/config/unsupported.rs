//! What can be typed but does nothing yet: the only place that knows.
//!
//! What an operator would rely on for safety (encryption, tenants kept apart) is an error, so that
//! nobody believes it is on; what is merely missing is a warning. When a feature lands, its lines
//! here go.

use super::file::File;
use super::problems::Problems;
use super::value::TlsMode;
use crate::tenant::Source;

/// Sections that are refused.
pub(super) const REFUSED: [&str; 1] = ["listen.tls"];

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
    if file.traces.is_some() && cfg!(not(feature = "traces")) {
        let text = "[traces] needs a pgusher that was built with the feature `traces`, and this one was not: build it with `cargo build --release --features traces`, or leave the section out";
        problems.at("traces", "", text);
    }
    if let Some(tenant) = &file.tenant {
        for source in [Source::Jwt, Source::Cert, Source::Sni] {
            if tenant.sources.0.contains(&source) {
                let name = source.as_str();
                problems.key(
                    "tenant",
                    "sources",
                    format_args!("names {name:?}, which is not available in this version"),
                );
            }
        }
    }
}
