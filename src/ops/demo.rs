//! The demo.

/// Not built yet.
///
/// # Errors
/// Always.
pub fn run(_once: bool) -> Result<(), String> {
    Err("the demo is not built yet".to_owned())
}
