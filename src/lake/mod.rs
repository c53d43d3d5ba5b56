//! The lake: the Delta table on a local disk or on S3.

pub mod location;
