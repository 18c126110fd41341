//! What can be typed but does nothing yet: the only place that knows.
//!
//! What an operator would rely on for safety (encryption, tenants kept apart) is an error, so that
//! nobody believes it is on; what is merely missing is a warning. When a feature lands, its lines
//! here go.

use super::file::File;
use super::problems::Problems;

/// Notes everything in the file that this version cannot do.
pub(super) fn unsupported(file: &File, problems: &mut Problems<'_>) {
    if file.traces.is_some() && cfg!(not(feature = "traces")) {
        let text = "[traces] needs a pgusher that was built with the feature `traces`, and this one was not: build it with `cargo build --release --features traces`, or leave the section out";
        problems.at("traces", "", text);
    }
}
