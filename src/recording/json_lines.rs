//! Reads lines of JSON: messages as a topic has them, read by the same decoder.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read};

use super::Error;
use super::cells::{Row, RowTime, RowValue};
use super::evidence::Pending;
use super::options::ReadOptions;
use super::report::SkipReason;
use crate::decode::{self, Decoder, Examined, KeySetting, KeySource, TimeField, ValuePaths};
use crate::reading::Record;
use crate::settings::{OneOrMany, YEAR};

pub(super) fn read(input: impl Read, options: &ReadOptions) -> Result<Pending, Error> {
    let (settings, words) = settings(options)?;
    let max_bytes = settings.max_bytes;
    let decoder = Decoder::new(&settings);
    let mut pending = Pending::new(options.time_zone.unwrap_or(options.default_zone), true);
    pending.report.assumed.push(words);
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        // One byte more than is read, so that the decoder refuses what is longer.
        if input
            .by_ref()
            .take(max_bytes as u64 + 1)
            .read_until(b'\n', &mut line)?
            == 0
        {
            break;
        }
        if line.len() > max_bytes && !line.ends_with(b"\n") {
            skip_line(&mut input)?;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        pending.report.rows += 1;
        readings(&decoder, number, text, &mut pending)?;
    }
    Ok(pending)
}

/// The settings of `[reading]`, without what only a record of a topic has: a key beside its value, and a timestamp.
fn settings(options: &ReadOptions) -> Result<(decode::Settings, String), Error> {
    let mut settings = options.reading.clone();
    settings.max_behind = 1000 * YEAR;
    settings.max_ahead = 10_000 * YEAR;
    if let Some(zone) = options.time_zone {
        settings.time_zone = zone;
    }
    let columns = &options.columns;
    let no_field = |what| move |reason| Error::NoSuchField { what, reason };
    if let [time] = columns.time.as_slice() {
        settings.time_field = TimeField::try_from(time.clone()).map_err(no_field("time"))?;
    }
    if let Some(value) = &columns.value {
        let value = OneOrMany::One(value.clone());
        settings.value_field = ValuePaths::try_from(value).map_err(no_field("value"))?;
    }
    match columns.key.as_slice() {
        // `play` writes the key of a message into the message as well.
        [] if *settings.key.source() == KeySource::Message => {
            settings.key = "key".parse().map_err(no_field("key"))?;
        }
        [] => {}
        [key] => settings.key = key.parse().map_err(no_field("key"))?,
        several => {
            let several = OneOrMany::Many(several.to_vec());
            settings.key = KeySetting::try_from(several).map_err(no_field("key"))?;
        }
    }
    let words = format!(
        "lines are JSON, with time in {}, value in {} and key in {} (reading.time_field, value_field, key)",
        settings.time_field,
        settings.value_field.setting(),
        settings.key
    );
    Ok((settings, words))
}

fn readings(decoder: &Decoder, line: u64, text: &[u8], pending: &mut Pending) -> Result<(), Error> {
    let record = Record {
        offset: 0,
        // Nothing vouches for the times of a file.
        timestamp_ms: Some(0),
        key: None,
        value: Some(text),
        headers: &[],
    };
    // Lines have the order of a partition's records.
    let newest_ms = pending.readings.last().map(|reading| reading.time_ms);
    let skipped = match decoder.examine(record, newest_ms) {
        Ok(Examined::One(_) | Examined::Several(_)) => None,
        Ok(Examined::Skipped) => Some(SkipReason::PassedOver),
        Err(rejection) => Some(SkipReason::Rejected(rejection.reason.name(), rejection.detail)),
    };
    if let Some(reason) = skipped {
        pending.report.skip(line, reason);
        return Ok(());
    }
    let mut outcome = Ok(());
    let decoded = decoder.decode(record, newest_ms, &mut |reading| {
        let key = match reading.series.measure {
            Some(measure) => Cow::Owned(format!("{}/{measure}", reading.series.key)),
            None => reading.series.key,
        };
        if reading.value.count > 1 {
            pending.report.first_weighted.get_or_insert(line);
        }
        let row = Row {
            time: RowTime::Instant(reading.event_time_ms),
            value: RowValue::Sure(reading.value.mean),
            key: Some(key).filter(|key| !key.is_empty()),
        };
        if outcome.is_ok() {
            outcome = pending.push(line, &row, String::new, String::new);
        }
    });
    if let Err(rejection) = decoded {
        let reason = SkipReason::Rejected(rejection.reason.name(), rejection.detail);
        pending.report.skip(line, reason);
    }
    outcome
}

fn skip_line(input: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}
