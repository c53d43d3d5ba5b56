use anyhow::{Result, bail};

pub fn run(_brokers: &str, _topic: &str, _readings: u64) -> Result<super::Run> {
    bail!("not yet")
}
