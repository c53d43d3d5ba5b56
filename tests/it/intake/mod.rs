//! What people really have in their files: each case is read as it should be, or refused with what to do.

mod cases;
mod files;
mod large;
mod play;
mod same_kinds;
mod sniff;
