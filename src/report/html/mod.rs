//! Pages for people: one file each, which needs no network, no font and no script to be read.
//!
//! `page.rs` is the frame that all pages share, `parts.rs` what they are made of, `families.rs` the picture of the
//! family graph; a file for each page has what it says. All that comes from a database or an engine is escaped by
//! maud, and the page's Content-Security-Policy lets nothing run but its own script: what gets past the one is
//! stopped by the other.
//!
//! Architecture invariant: a page is a function of a report and a moment. The same report gives the same page.

mod archive;
mod audit;
mod backlog;
mod families;
mod page;
mod parts;
mod prove;

pub use archive::archive_html;
pub use audit::{Families, audit_html};
pub use prove::{failure_html, prove_html};
