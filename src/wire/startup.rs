//! The messages before a session exists.

/// Request code of a CancelRequest.
pub const CANCEL_REQUEST: u32 = 80_877_102;
