//! A stored secret.

/// What is stored of a user's password.
#[derive(Debug, Clone)]
pub struct Secret;
