use chrono_tz::Tz;

use super::*;
use crate::notation::zone::{AmbiguousTime, instant_ms};

/// 2022-07-15T11:34:32Z
const JULY_MS: i64 = 1_657_884_872_000;

fn read_with(setting: &str, source: Source<'_>) -> Result<Written, TimeError> {
    TimeNotation::parse(setting).unwrap().read(source, None)
}

fn utc(setting: &str, source: Source<'_>) -> Result<i64, TimeError> {
    instant_ms(read_with(setting, source)?, Tz::UTC, AmbiguousTime::InOrder, None)
}

fn text(text: &str) -> Result<i64, TimeError> {
    utc("text", Source::Text(text))
}

#[test]
fn every_known_text_is_the_same_time() {
    for written in [
        "2022-07-15T11:34:32Z",
        "2022-07-15 11:34:32",
        "2022-07-15T11:34:32.000+0000",
        "2022-07-15 13:34:32 +0200",
        "2022-07-15 11:34:32 UTC",
        "2022-07-15 11:34:32 GMT",
        "2022-07-15T11:34:32 (UTC)",
        "2022-07-15 11:34:32.000 +0000 UTC",
        "2022-07-15 13:34:32 +0200 CEST",
        "2022-07-15T13:34:32+02:00[Europe/Berlin]",
        "Fri, 15 Jul 2022 11:34:32 +0000",
        "Fri, 15 Jul 2022 11:34:32 GMT",
        "Fri Jul 15 11:34:32 2022",
        "Fri Jul 15 11:34:32 UTC 2022",
        "Fri Jul 15 2022 13:34:32 GMT+0200 (Central European Summer Time)",
        "20220715T113432Z",
        "20220715113432",
        "2022-07-15T11:34:32+00",
        "2022/07/15 11:34:32",
        "2022.07.15 11:34:32",
        "2022-7-15 11:34:32",
        "15/Jul/2022:11:34:32 +0000",
        "15-JUL-2022 11:34:32",
        "July 15, 2022 11:34:32 AM",
        "2022-07-15t11:34:32z",
        "2022-07-15T11:34:32+00:00:00",
        "2022-07-15T06:34:32\u{2212}05:00",
        "2022-07-15\u{a0}11:34:32",
        "2022-07-15\t11:34:32",
        "2022-07-15  11:34:32",
        "2022-07-15T16:34:32+05",
        "2022-07-15T17:04:32+0530",
    ] {
        assert_eq!(text(written), Ok(JULY_MS), "{written:?}");
    }
}

#[test]
fn the_ends_of_a_day_and_of_a_minute() {
    let day_ms = 1_657_843_200_000;
    for (written, expected_ms) in [
        ("2022-07-15", day_ms),
        ("2022-07-14T24:00:00Z", day_ms),
        ("2022-07-14 24:00", day_ms),
        ("2022-07-15+02:00", day_ms - 7_200_000),
        ("20220715", day_ms),
        ("2022-07-14T23:59:60Z", day_ms - 1),
        ("2022-07-14T23:59:59.9999Z", day_ms - 1),
        ("2022-07-15 12:00 AM", day_ms),
        ("2022-07-15 12:00 p.m.", day_ms + 43_200_000),
    ] {
        assert_eq!(text(written), Ok(expected_ms), "{written:?}");
    }
    for written in [
        "2022-07-15 24:00:01",
        "2022-07-15 25:00",
        "2022-02-29",
        "2022-07-15 13:00 PM",
        "2022-07-15T11:34:61Z",
    ] {
        assert_eq!(text(written), Err(TimeError::NoSuchTime), "{written:?}");
    }
}

#[test]
fn a_text_that_may_mean_two_times_is_refused() {
    let date = |year, month, day| chrono::NaiveDate::from_ymd_opt(year, month, day);
    let either = |day_first, month_first| {
        Err(TimeError::DayOrMonthFirst {
            day_first,
            month_first,
        })
    };
    assert_eq!(
        text("01/02/2024 00:00"),
        either(date(2024, 2, 1), date(2024, 1, 2))
    );
    assert_eq!(text("15.07.2022 11:34:32"), either(date(2022, 7, 15), None));
    assert_eq!(text("7/15/2022 11:34:32 AM"), either(None, date(2022, 7, 15)));
    for (order, written) in [
        (DateOrder::DayFirst, "15/07/2022 11:34:32"),
        (DateOrder::MonthFirst, "7-15-2022, 11:34:32 AM"),
    ] {
        let read = TimeNotation::Text
            .read(Source::Text(written), Some(order))
            .unwrap();
        assert_eq!(
            instant_ms(read, Tz::UTC, AmbiguousTime::InOrder, None),
            Ok(JULY_MS)
        );
    }
}

#[test]
fn what_is_refused_says_why() {
    let date = |year, month, day| chrono::NaiveDate::from_ymd_opt(year, month, day);
    for (written, expected) in [
        ("3/5/24 0:05", TimeError::TwoDigitYear),
        ("05-03-24 00:05", TimeError::TwoDigitYear),
        ("2022-07-15 11:00-12:00", TimeError::Interval),
        ("2022-07-15T11:34:32Z/2022-07-15T12:00:00Z", TimeError::Interval),
        (
            "27.10.2024 02:00 - 27.10.2024 02:15",
            TimeError::DayOrMonthFirst {
                day_first: date(2024, 10, 27),
                month_first: None,
            },
        ),
        ("2022-07-15 11:00 - 12:00", TimeError::Interval),
        ("2022-07-15 07:34:32 EDT", TimeError::ZoneName("EDT".to_owned())),
        (
            "2022-07-15T11:34:32[Europe/Berlin]",
            TimeError::ZoneName("[Europe/Berlin]".to_owned()),
        ),
        ("", TimeError::Empty),
    ] {
        assert_eq!(text(written), Err(expected), "{written:?}");
    }
    assert_eq!(
        utc("auto", Source::Text("202207151134")),
        Err(TimeError::TwelveDigits(
            date(2022, 7, 15).unwrap().and_hms_opt(11, 34, 0).unwrap()
        ))
    );
    for written in [
        "noon",
        "2022-07",
        "2022-07-15T11",
        "2022-W28-5T11:34:32Z",
        "2022-196",
        "2022-07-15-11",
        "23-11-05T",
        "2022-07-15T11:34:32+2",
        "\"2022-07-15T11:34:32Z\"",
        "+2022-07-15",
        "02022-07-15",
    ] {
        let refused = text(written);
        assert!(
            matches!(
                refused,
                Err(TimeError::UnknownForm | TimeError::TwoDigitYear | TimeError::Interval)
            ),
            "{written:?}: {refused:?}"
        );
    }
}

#[test]
fn a_number_is_exact_and_never_rounded_up() {
    let integer = Source::Integer;
    for (setting, source, expected_ms) in [
        ("epoch_s", integer(1_657_884_872), JULY_MS),
        ("epoch_s", Source::Float(1_657_884_872.999_6), JULY_MS + 999),
        ("epoch_s", Source::Float(1_784_541_600.62), 1_784_541_600_620),
        ("epoch_s", Source::Text("1784541600.62"), 1_784_541_600_620),
        ("epoch_s", Source::Text(" 1657884872 "), JULY_MS),
        ("epoch_s", Source::Float(-0.5), -500),
        ("epoch_s", Source::Text("1.657884872e9"), JULY_MS),
        ("epoch_ms", Source::Float(-0.5), -1),
        ("epoch_ms", Source::Float(1_657_884_872_000.9), JULY_MS),
        ("epoch_us", integer(1_657_884_872_000_999), JULY_MS),
        ("epoch_us", integer(-1), -1),
        ("epoch_ns", integer(1_657_884_872_000_999_999), JULY_MS),
        ("epoch_ns", Source::Text("1657884872000999999"), JULY_MS),
        ("epoch", integer(1_657_884_872), JULY_MS),
        ("epoch", integer(1_657_884_872_000), JULY_MS),
        ("auto", integer(1_657_884_872_000_000), JULY_MS),
        ("auto", Source::Text("1657884872000000000"), JULY_MS),
        ("auto", Source::Float(1_657_884_872.0), JULY_MS),
        ("auto", Source::Text("2022-07-15T11:34:32Z"), JULY_MS),
        ("epoch_s", Source::Float(-1e-300), -1),
        ("epoch_s", Source::Float(0.0), 0),
    ] {
        assert_eq!(utc(setting, source), Ok(expected_ms), "{setting} {source:?}");
    }
    for source in [
        Source::Float(1e300),
        Source::Float(f64::INFINITY),
        integer(i128::from(u64::MAX)),
        integer(i128::MAX),
    ] {
        assert!(utc("epoch_s", source).is_err(), "{source:?}");
    }
}

#[test]
fn a_number_of_another_unit_is_named() {
    let sentence = |setting, source| {
        let error = utc(setting, source).unwrap_err();
        format!("{error}{}", error.setting())
    };
    assert_eq!(
        sentence("epoch_s", Source::Integer(JULY_MS.into())),
        "beyond 1900 to 9999-12-30; as milliseconds it is 2022-07-15T11:34:32Z; \
         set reading.time_format = \"epoch_ms\""
    );
    assert_eq!(
        sentence("text", Source::Text("1657884872")),
        "a number, as seconds it is 2022-07-15T11:34:32Z; set reading.time_format = \"epoch_s\""
    );
    assert_eq!(
        sentence("text", Source::Integer(5)),
        "a number; set reading.time_format = \"epoch_s\""
    );
    assert_eq!(
        sentence("epoch_ms", Source::Text("2022-07-15")),
        "not a number; set reading.time_format = \"auto\""
    );
}

#[test]
fn a_pattern_reads_what_it_describes() {
    for (pattern, written, expected_ms) in [
        ("%d.%m.%Y %H:%M", "15.07.2022 11:34", JULY_MS - 32_000),
        ("%d.%m.%Y %H:%M", "14.07.2022 24:00", 1_657_843_200_000),
        ("%d/%m/%y", "15/07/22", 1_657_843_200_000),
        ("%Y%m%d%H%M", "202207151134", JULY_MS - 32_000),
        (
            "%Y-%m-%dT%H:%M:%S%.f%z",
            "2022-07-15T13:34:32.5+0200",
            JULY_MS + 500,
        ),
        ("%s", "1657884872", JULY_MS),
        ("%m/%d/%Y %I:%M %p", "7/15/2022 11:34 AM", JULY_MS - 32_000),
        ("%Y-%m-%d %H:%M:%S", "2022-07-14 23:59:60", 1_657_843_200_000 - 1),
        ("%Y-%j", "2022-196", 1_657_843_200_000),
        (
            "%d %m %Y %H Uhr",
            "15 07 2022 11 Uhr",
            1_657_843_200_000 + 39_600_000,
        ),
    ] {
        assert_eq!(
            utc(pattern, Source::Text(written)),
            Ok(expected_ms),
            "{pattern:?} {written:?}"
        );
    }
    let mismatch = TimeError::Mismatch("%d.%m.%Y".to_owned());
    assert_eq!(utc("%d.%m.%Y", Source::Text("2022-07-15")), Err(mismatch));
    assert_eq!(
        utc("%d.%m.%Y", Source::Text("15.07.22")),
        Err(TimeError::TwoDigitYear)
    );
    for pattern in ["%H:%M", "%d.%m.", "%Q", "%Y-%m-%d %Z", "%"] {
        assert!(TimeNotation::parse(pattern).is_err(), "{pattern}");
    }
    for name in ["seconds", "", "epoch_m", "Text"] {
        assert!(TimeNotation::parse(name).is_err(), "{name}");
    }
}

#[test]
fn a_dutch_meters_time_says_its_season() {
    let zone = Tz::Europe__Amsterdam;
    let read = |text| {
        let written = read_with("dsmr", Source::Text(text))?;
        instant_ms(written, zone, AmbiguousTime::InOrder, None)
    };
    assert_eq!(read("220715133432S"), Ok(JULY_MS));
    assert_eq!(read("241027023000S"), Ok(1_729_989_000_000));
    assert_eq!(read("241027023000W"), Ok(1_729_992_600_000));
    assert_eq!(read("220715133432W"), Err(TimeError::OtherSeason(Season::Winter)));
    assert_eq!(read("220732133432S"), Err(TimeError::NoSuchTime));
    assert_eq!(read("220715133432"), Err(TimeError::UnknownForm));
}

#[test]
fn several_notations_are_tried_in_order() {
    let notations = ["%d.%m.%Y", "epoch_s"].map(|setting| TimeNotation::parse(setting).unwrap());
    let read = |text| super::read(&notations, Source::Text(text), None);
    assert_eq!(read("1657884872"), Ok(Written::Instant(JULY_MS)));
    assert!(matches!(read("15.07.2022"), Ok(Written::Wall(_))));
    assert_eq!(read("noon"), Err(TimeError::Mismatch("%d.%m.%Y".to_owned())));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,30}", digits in "[-+0-9:./TZ, apm\u{a0}]{0,30}") {
        let notations = ["auto", "dsmr", "%d.%m.%Y %H:%M"].map(|setting| TimeNotation::parse(setting).unwrap());
        for text in [&text, &digits] {
            for notation in &notations {
                for order in [None, Some(DateOrder::DayFirst), Some(DateOrder::MonthFirst)] {
                    if let Ok(written) = notation.read(Source::Text(text), order) {
                        let _ = instant_ms(written, Tz::America__New_York, AmbiguousTime::InOrder, Some(0));
                    }
                }
            }
        }
    }

    #[test]
    fn every_instant_is_read_back(instant_ms in EVENT_TIMES_MS) {
        let written = chrono::DateTime::from_timestamp_millis(instant_ms).unwrap();
        for text in [written.to_rfc3339(), written.format("%Y/%m/%d %H:%M:%S%.3f UTC").to_string()] {
            proptest::prop_assert_eq!(utc("auto", Source::Text(&text)), Ok(instant_ms), "{}", text);
        }
        let digits = instant_ms.to_string();
        proptest::prop_assert_eq!(utc("epoch_ms", Source::Text(&digits)), Ok(instant_ms));
    }
}
