//! `demo --ec2`: the processor loads of three EC2 instances as `collect cloudwatch` writes them.

use anyhow::Context;

use crate::collect::{Metric, Point, message};
use crate::config::Config;
use crate::kafka::SoleProducer;
use crate::notation;
use crate::output_record::OutputRecord;

/// `timestamp,instance,value`: see the README beside the file for where the readings come from.
const READINGS: &[u8] = include_bytes!("ec2_cpu_utilization.csv.zst");
/// Above what the readings take unpacked.
const LARGEST_TEXT: usize = 1_048_576;

pub(super) const HOURLY_SQL: &str =
    "SELECT key, start, avg_usage, min_usage, max_usage, count FROM usage ORDER BY start DESC, key LIMIT 24";

pub(super) const SUMMARY_SQL: &str = "SELECT key, min(start) AS first, max(\"end\") AS last, \
     sum(sum_usage) / sum(count) AS avg_usage, max(max_usage) AS max_usage, sum(count) AS readings \
     FROM usage GROUP BY key ORDER BY key";

/// Writes the readings to the topic of the settings, in the order of time. The answer is how many there are.
pub(super) fn play_readings(config: &Config) -> anyhow::Result<u64> {
    let topic = &config.pipeline.source.topic;
    let records = readings(topic)?;
    SoleProducer::connect(&config.process.kafka, "streamgauge-demo")?.write(&records)?;
    Ok(records.len() as u64)
}

fn readings(topic: &str) -> anyhow::Result<Vec<OutputRecord>> {
    let text = zstd::bulk::decompress(READINGS, LARGEST_TEXT)?;
    let mut rows = csv::Reader::from_reader(text.as_slice());
    rows.records().map(|row| record(topic, &row?)).collect()
}

fn record(topic: &str, row: &csv::StringRecord) -> anyhow::Result<OutputRecord> {
    let field = |at: usize| row.get(at).context("a reading of the demo has a field too few");
    let time_ms = notation::utc_ms(field(0)?).context("a reading of the demo has no time")?;
    let metric = Metric {
        namespace: "AWS/EC2".to_owned(),
        name: "CPUUtilization".to_owned(),
        dimensions: vec![("InstanceId".to_owned(), format!("i-{}", field(1)?))],
    };
    let point = Point {
        time_ms,
        value: field(2)?.parse()?,
    };
    Ok(OutputRecord {
        topic: topic.to_owned(),
        partition: -1,
        offset: -1,
        key: Some(metric.reading_key().into_bytes()),
        value: Some(message(&metric, "Average", Some("Percent"), point).into_bytes()),
        headers: Vec::new(),
        brief: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The benchmark's own files, as the tests have them.
    const FILES: [(&str, &str); 3] = [
        (
            "fe7f93",
            include_str!("../../../tests/data/nab/data/realAWSCloudwatch/ec2_cpu_utilization_fe7f93.csv"),
        ),
        (
            "77c1ca",
            include_str!("../../../tests/data/nab/data/realAWSCloudwatch/ec2_cpu_utilization_77c1ca.csv"),
        ),
        (
            "c6585a",
            include_str!("../../../tests/data/nab/data/realAWSCloudwatch/ec2_cpu_utilization_c6585a.csv"),
        ),
    ];

    #[test]
    fn the_readings_are_those_of_the_benchmark() {
        let mut expected = Vec::new();
        for (instance, file) in FILES {
            for row in file.lines().skip(1) {
                let (time, value) = row.split_once(',').unwrap();
                let value: f64 = value.parse().unwrap();
                let time = time.replace(' ', "T");
                expected.push(format!(
                    r#"{{"ts":"{time}Z","value":{value:?},"unit":"Percent","metric":"CPUUtilization","stat":"Average","instance":"i-{instance}"}}"#
                ));
            }
        }
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        let mut found: Vec<String> = readings("usage")
            .unwrap()
            .into_iter()
            .map(|record| text(record.value))
            .collect();
        assert!(
            found.is_sorted_by_key(|value| value[..28].to_owned()),
            "in the order of time"
        );
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}
