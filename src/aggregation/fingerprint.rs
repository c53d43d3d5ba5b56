//! The stored checksum of the settings that decide a record's fate.

use crate::settings::Fingerprint;
use crate::{decode, window};

/// A checksum of the settings that decide a record's fate. Under other settings a record may become a side
/// output that was not one before, so a position up to which side outputs are written means nothing under them.
pub(crate) fn fingerprint(reading: &decode::Settings, window: &window::Settings) -> u32 {
    let mut fingerprint = Fingerprint::default();
    reading.add_to(&mut fingerprint);
    window.add_to(&mut fingerprint);
    fingerprint.checksum()
}

#[cfg(test)]
mod tests {
    use crate::config::config_of;
    use crate::decode;

    fn fingerprint(settings: &[(&str, &str)]) -> u32 {
        let settings = config_of(settings).pipeline;
        super::fingerprint(&settings.reading, &settings.window)
    }

    /// A group's offsets in Kafka carry these: with others, side outputs may be written twice after an upgrade.
    #[test]
    fn what_is_stored_is_this() {
        assert_eq!(fingerprint(&[]), 0x9e46_fa39);
        let others = [
            ("reading.key", "meter.id"),
            ("reading.time_format", "epoch_ms"),
            ("window.length", "15m"),
            ("window.late", "upsert"),
        ];
        assert_eq!(fingerprint(&others), 0xd92a_bc54);
    }

    #[test]
    fn every_setting_that_decides_a_fate_changes_it() {
        let default = fingerprint(&[]);
        let of_windows = [
            ("window.length", "30m"),
            ("window.offset", "1m"),
            ("window.watermark", "2h"),
            ("window.late", "upsert"),
            ("window.late", "drop"),
            ("window.max_series", "1000"),
        ];
        for (key, value) in decode::FATE_EXAMPLES.into_iter().chain(of_windows) {
            assert_ne!(fingerprint(&[(key, value)]), default, "{key} = {value}");
        }
        let measures = [("table.measure_column", "measure")];
        assert_eq!(fingerprint(&measures), default);
        for (key, value) in [
            ("reading.measure_field", "name"),
            ("reading.value_field", "fields.*"),
            ("reading.value_field", r#"["a", "b"]"#),
        ] {
            assert_ne!(
                fingerprint(&[measures[0], (key, value)]),
                default,
                "{key} = {value}"
            );
        }
        let avro = [
            ("reading.format", "avro"),
            ("schema_registry.url", "http://registry"),
        ];
        assert_ne!(fingerprint(&avro), default);
        let with_schema = [avro[0], avro[1], ("reading.avro_schema", r#""double""#)];
        assert_ne!(fingerprint(&with_schema), fingerprint(&avro));
        // Where the schemas are does not decide what they say.
        assert_eq!(fingerprint(&avro[1..]), default);
        // This one bounds only what goes along with a record; unless its time lies there.
        assert_eq!(fingerprint(&[("reading.max_header_bytes", "1")]), default);
        let with_time = |bytes| {
            fingerprint(&[
                ("reading.time_field", "@header.t"),
                ("reading.max_header_bytes", bytes),
            ])
        };
        assert_ne!(with_time("1"), with_time("2"));
    }
}
