//! A large file is read within its bounds.

use std::io::{self, BufReader, Read};

use streamgauge::config::{Config, DEFAULT_TOML};
use streamgauge::recording::{ReadOptions, Recording};

/// A file of so many rows, a second apart, that is made while it is read.
fn rows(count: i64) -> impl Read {
    let heading = std::iter::once("time,kw,meter\n".to_owned());
    let rows = (0..count).map(|number| {
        let time = chrono::DateTime::from_timestamp(1_700_000_000 + number, 0).unwrap();
        format!(
            "{},{}.5,meter-{}\n",
            time.format("%Y-%m-%d %H:%M:%S"),
            number % 1000,
            number % 7
        )
    });
    BufReader::new(Lines(heading.chain(rows), Vec::new(), 0))
}

/// Lines one after the other.
struct Lines<I>(I, Vec<u8>, usize);

impl<I: Iterator<Item = String>> Read for Lines<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.2 == self.1.len() {
            self.1 = self.0.next().map(String::into_bytes).unwrap_or_default();
            self.2 = 0;
        }
        let length = (&self.1[self.2..]).read(buffer)?;
        self.2 += length;
        Ok(length)
    }
}

#[test]
fn two_million_rows_take_less_than_64_mb() {
    let config: Config = toml::from_str(DEFAULT_TOML).unwrap();
    let mut options = ReadOptions::new(&config.pipeline.reading);
    options.columns.key = vec!["meter".to_owned()];
    let recording = Recording::read(rows(2_000_000), &options).unwrap();
    assert_eq!(recording.readings.len(), 2_000_000);
    assert_eq!(recording.key(&recording.readings[8]), Some("meter-1"));
    let bytes = recording.readings.capacity() * size_of_val(&recording.readings[0]);
    assert!(bytes < 64_000_000, "{bytes} bytes");
}
