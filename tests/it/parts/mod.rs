//! The parts the tests stand on do what they are there for.

mod kafka;
mod process;
mod proxy;
mod readers;
mod s3;
