//! The streams that are tried: how readings are written, and the settings that say so.

/// The form of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeForm {
    Text,
    EpochS,
    EpochMs,
}

impl TimeForm {
    pub fn setting(self) -> &'static str {
        match self {
            TimeForm::Text => "text",
            TimeForm::EpochS => "epoch_s",
            TimeForm::EpochMs => "epoch_ms",
        }
    }

    /// Numbers about the bounds of what is a time, and of what can be one.
    pub fn edges(self) -> &'static [&'static str] {
        match self {
            TimeForm::EpochS => &[
                "-2208988800",
                "-2208988800.0004",
                "-2208988800.0006",
                "-2208988801",
                "253402214399.999",
                "253402214399.9996",
                "253402214400",
                "253402300799.9996",
                "253402300800",
                "0",
                "-0",
                "-0.0005",
                "1700000000000",
                "1e999",
                "9223372036854775.807",
                "9223372036854775808",
            ],
            _ => &[
                "-2208988800000",
                "-2208988800000.5",
                "-2208988800001",
                "253402214399999",
                "253402214399999.5",
                "253402214400000",
                "253402300799999.5",
                "253402300800000",
                "0",
                "-0",
                "-0.5",
                "1700000000",
                "1e999",
                "9223372036854775807",
                "9223372036854775808",
                "1.7e12",
            ],
        }
    }
}

/// The definition of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFrom {
    Message,
    Field(&'static str),
}

/// One stream. Everything that decides a record's fate is here, and is given to the program.
#[derive(Debug)]
pub struct Settings {
    pub name: &'static str,
    pub time_field: &'static str,
    pub value_field: &'static str,
    pub key: KeyFrom,
    pub time_form: TimeForm,
    pub zone: chrono_tz::Tz,
    pub max_ahead_ms: i64,
    pub max_behind_ms: i64,
    pub max_bytes: u64,
    pub max_key_bytes: usize,
    pub window_ms: i64,
    pub offset_ms: i64,
    pub delay_ms: i64,
    /// Of the rules `above` and `below` that the detection is given.
    pub above: f64,
    pub below: f64,
}

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

/// As the tutorial writes them; nested and counted in milliseconds; in seconds and by the message's key.
pub const STREAMS: [Settings; 3] = [
    Settings {
        name: "fuzz-text",
        time_field: "ts",
        value_field: "value",
        key: KeyFrom::Field("key"),
        time_form: TimeForm::Text,
        zone: chrono_tz::America::New_York,
        max_ahead_ms: 10 * MINUTE_MS,
        max_behind_ms: 365 * DAY_MS,
        max_bytes: 20_000,
        max_key_bytes: 24,
        window_ms: 10 * MINUTE_MS,
        offset_ms: 0,
        delay_ms: 20 * MINUTE_MS,
        above: 1_500.0,
        below: -200.0,
    },
    Settings {
        name: "fuzz-nested",
        time_field: "at",
        value_field: "payload.power.kw",
        key: KeyFrom::Field("payload.meter"),
        time_form: TimeForm::EpochMs,
        zone: chrono_tz::UTC,
        max_ahead_ms: MINUTE_MS,
        max_behind_ms: 40 * 365 * DAY_MS,
        max_bytes: 9_000,
        max_key_bytes: 1_024,
        window_ms: 7 * MINUTE_MS,
        offset_ms: 90_000,
        delay_ms: 0,
        above: 1_600.0,
        below: 0.0,
    },
    Settings {
        name: "fuzz-seconds",
        time_field: "time",
        value_field: "v",
        key: KeyFrom::Message,
        time_form: TimeForm::EpochS,
        zone: chrono_tz::UTC,
        max_ahead_ms: 60 * MINUTE_MS,
        max_behind_ms: 400 * 365 * DAY_MS,
        max_bytes: 1_048_576,
        max_key_bytes: 200,
        window_ms: 60 * MINUTE_MS,
        offset_ms: 0,
        delay_ms: 60 * MINUTE_MS,
        above: 0.0,
        below: 1e-5,
    },
];

impl Settings {
    /// The conditions that the detection is given for all keys.
    pub fn rules(&self) -> [String; 2] {
        [format!("above {}", self.above), format!("below {}", self.below)]
    }

    /// The settings as the program's environment takes them.
    pub fn environment(&self) -> Vec<(String, String)> {
        let key = match self.key {
            KeyFrom::Message => "message",
            KeyFrom::Field(name) => name,
        };
        [
            ("READING__TIME_FIELD", self.time_field.to_owned()),
            ("READING__VALUE_FIELD", self.value_field.to_owned()),
            ("READING__KEY", key.to_owned()),
            ("READING__TIME_FORMAT", self.time_form.setting().to_owned()),
            ("READING__TIME_ZONE", self.zone.name().to_owned()),
            ("READING__AMBIGUOUS_TIME", "earlier".to_owned()),
            ("READING__MAX_AHEAD", format!("{}ms", self.max_ahead_ms)),
            ("READING__MAX_BEHIND", format!("{}ms", self.max_behind_ms)),
            ("READING__MAX_BYTES", self.max_bytes.to_string()),
            ("READING__MAX_KEY_BYTES", self.max_key_bytes.to_string()),
            ("WINDOW__LENGTH", format!("{}ms", self.window_ms)),
            ("WINDOW__OFFSET", format!("{}ms", self.offset_ms)),
            ("WINDOW__WATERMARK", format!("{}ms", self.delay_ms)),
        ]
        .map(|(name, value)| (format!("STREAMGAUGE__{name}"), value))
        .to_vec()
    }
}
