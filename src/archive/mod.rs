//! Moves soft-deleted families to the shadow tables, whole or not at all; and back.
//!
//! Planning is apart from doing. [`forest`] holds the keys that were read and says which rows make
//! a family, pure; [`sql`] and [`plan`] turn graph and keys into statements, pure; [`capture`],
//! [`batch`] and [`run`] send them through a session. Row data stays in the database; only keys
//! come to the client.
//!
//! Architecture invariant: nothing here knows of faults; `prove` finds its fault points in the
//! statements.

mod api;
mod around;
mod attempt;
mod batch;
mod before;
mod capture;
mod explain;
mod export;
mod forecast;
mod forest;
mod held;
mod keys;
mod name;
mod options;
mod outcome;
mod owners;
mod pace;
mod plan;
mod preflight;
mod purge;
mod reason;
mod restore;
mod roots;
mod run;
mod shared;
mod sql;
mod stop;
mod table;
mod throttle;
mod unindexed;
mod vanished;
mod way_back;

pub use api::{Api, Cell};
pub(crate) use around::let_go;
pub use before::Before;
pub(crate) use explain::drop_unshadowed;
pub use forecast::{Forecast, Shape};
pub(crate) use held::{Direction, Held};
pub(crate) use keys::{key_in, pieces as key_pieces};
pub use name::RowName;
pub(crate) use name::row_name;
pub use options::{ExportFormat, Observer, Options};
pub(crate) use outcome::LISTED_PER_REASON;
pub use outcome::{Blocked, Outcome, StopReason};
pub use preflight::{check_owners, preflight};
pub use purge::purge;
pub use reason::REASONS;
pub use restore::{refusal, restore};
pub(crate) use roots::WINDOW;
pub use run::{archive, archive_abreast, purge_in_place};
pub use stop::Stop;
pub use throttle::{Limit, StoppedReplica, Throttle};
