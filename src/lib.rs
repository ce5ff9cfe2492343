//! tracemend finds where distributed traces break, says why, and says what to change.
//!
//! The modules are the data flow:
//!
//! `sources` → bytes → `formats` → spans → `store` (grouped by trace id) → `graph` and the flat pass
//! → `corpus` (what is needed across traces) → `analyzers` → `causes` → `finding` → `gate` → `report` →
//! `render` → exit code.
//!
//! Imports point back toward the input only. The core knows no network, terminal or command line.

pub mod analysis;
pub mod analyzers;
pub mod causes;
pub mod cli;
mod compose;
pub mod config;
pub mod corpus;
pub mod diagnosis;
mod exemplars;
pub mod exit;
pub mod finding;
pub mod formats;
pub mod gate;
pub mod graph;
pub mod model;
pub mod pipeline;
pub mod progress;
pub mod read;
mod relink;
pub mod render;
pub mod report;
pub mod shown;
pub mod sources;
pub mod store;
mod suggest;
pub mod trace;
