//! Who a transaction belongs to, and what the database is told about it.
//!
//! [`id`] says what a tenant's id may look like, [`identity`] where it is learnt from and what
//! holds when two places name one, [`setting`] which settings may be put into a transaction, and
//! [`context`] renders them, once per tenant, into what is sent, and [`seal`] proves that nobody else
//! did. [`row_security`] prints the SQL to
//! start from on the other side, in the database, and [`audit`] says when a role is above it. Nothing
//! here reads SQL or knows a connection: that is `sql` and `session`, which ask.

pub mod audit;
pub mod context;
pub mod id;
pub mod identity;
pub mod row_security;
pub mod seal;
pub mod server_name;
pub mod setting;

pub use self::context::Context;
pub use self::id::{Format, NotAnId, TenantId};
pub use self::identity::{Connection, Known, Policy, Source, Sources};
pub use self::setting::{BadSetting, Extra, SettingName};

#[cfg(test)]
mod tests;
