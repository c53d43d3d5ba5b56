use super::*;
use crate::config::{Config, DEFAULT_TOML};

fn options() -> ReadOptions {
    let config: Config = toml::from_str(DEFAULT_TOML).unwrap();
    ReadOptions::new(&config.pipeline.reading)
}

fn read_as(csv: &str, change: impl Fn(&mut ReadOptions)) -> Result<Recording, Error> {
    let mut options = options();
    change(&mut options);
    Recording::read(csv.as_bytes(), &options)
}

fn read(csv: &str) -> Result<Recording, Error> {
    read_as(csv, |_| {})
}

fn values(recording: &Recording) -> Vec<f64> {
    recording.readings.iter().map(|reading| reading.value).collect()
}

fn times(recording: &Recording) -> Vec<String> {
    recording
        .readings
        .iter()
        .map(|reading| recording.time_text(reading))
        .collect()
}

fn skipped(recording: &Recording) -> Vec<(u64, String)> {
    let skipped = recording.report.skipped.iter();
    skipped.map(|row| (row.line, row.reason.to_string())).collect()
}

#[test]
fn the_citys_file_is_read_completely_and_nothing_is_assumed() {
    let city = include_bytes!("../commands/demo/boston_tuesdays.csv");
    let recording = Recording::read(city.as_slice(), &options()).unwrap();
    assert_eq!(recording.readings.len(), 2015);
    let expected = ReadReport {
        rows: 2015,
        time_columns: vec!["usage_datetime_start_eastern_time".to_owned()],
        other_columns: vec!["usage_datetime_end_eastern_time".to_owned()],
        ..ReadReport::default()
    };
    assert_eq!(recording.report, expected);
    assert_eq!(recording.readings[0].value, 518.4);
    assert_eq!(recording.time_text(&recording.readings[0]), "2024-03-05 00:00:00");
}

#[test]
fn a_reading_takes_24_bytes() {
    assert_eq!(size_of::<RecordedReading>(), 24);
}

#[test]
fn byte_order_mark_quotes_blanks_and_windows_lines_do_not_matter() {
    let csv = "\u{feff}\"note\", time ,\"kw\"\r\n\"a, \"\"b\"\"\",\"2024-03-05 00:00:00\",\" 1.5 \"\r\n\r\nx,2024-3-5 0:05,2";
    let recording = read(csv).unwrap();
    assert_eq!(values(&recording), [1.5, 2.0]);
    assert_eq!(recording.report.rows, 2);
    assert!(recording.report.skipped.is_empty());
}

#[test]
fn rows_are_sorted_stably_and_repetitions_kept_or_dropped() {
    let csv = "time,kw,note\n2024-03-05 00:10:00,3,\n2024-03-05 00:00:00,1,\n2024-03-05 00:10:00,4,\n\
        2024-03-05 00:10:00,3,other\n2024-03-05 00:05:00,2,\n";
    let kept = read(csv).unwrap();
    assert_eq!(values(&kept), [1.0, 2.0, 3.0, 4.0, 3.0]);
    assert_eq!((kept.report.repeated, kept.report.out_of_order), (1, 2));
    assert_eq!((kept.report.same_time, kept.report.first_same_time), (1, Some(4)));
    let dropped = read_as(csv, |options| options.repeated = Repeated::Drop).unwrap();
    assert_eq!(values(&dropped), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(dropped.report.repeated, 1);
}

#[test]
fn an_hour_that_comes_again_is_no_repetition_although_its_zone_is_not_known() {
    let csv = "time,kw\n2024-11-03 00:30,0\n2024-11-03 01:00,1\n2024-11-03 01:00,1\n2024-11-03 01:30,2\n\
        2024-11-03 01:00,1\n2024-11-03 01:30,2\n2024-11-03 02:00,3\n2024-11-03 02:00,3\n";
    let recording = read_as(csv, |options| options.repeated = Repeated::Drop).unwrap();
    assert_eq!(values(&recording), [0.0, 1.0, 1.0, 2.0, 2.0, 3.0]);
    assert_eq!(recording.report.repeated, 2);
}

#[test]
fn a_time_that_is_shown_again_is_of_the_second_hour_although_rows_between_are_not_read() {
    let csv = "time,kw\n2024-10-27 01:45,0\n2024-10-27 02:00,1\n2024-10-27 02:15,n/e\n2024-10-27 02:00,2\n\
               2024-10-27 02:15,3\n";
    let in_berlin = |options: &mut ReadOptions| options.time_zone = Some(Tz::Europe__Berlin);
    let recording = read_as(csv, in_berlin).unwrap();
    assert_eq!(values(&recording), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(
        times(&recording),
        [
            "2024-10-27T01:45:00+02:00",
            "2024-10-27T02:00:00+02:00",
            "2024-10-27T02:00:00+01:00",
            "2024-10-27T02:15:00+01:00"
        ]
    );
    // A log whose seconds a spreadsheet has cut shows each minute several times.
    let cut = "time,kw\n2024-10-27 01:59,0\n2024-10-27 01:59,1\n2024-10-27 02:00,2\n2024-10-27 02:00,3\n";
    let recording = read_as(cut, in_berlin).unwrap();
    assert!(times(&recording).iter().all(|time| time.ends_with("+02:00")));
}

#[test]
fn series_are_distinguished_by_their_key() {
    let csv = "time,kw,meter\n2024-03-05 00:00,1,a\n2024-03-05 00:00,1,b\n2024-03-05 00:00,2,a\n2024-03-05 00:00,2,\n";
    let recording = read_as(csv, |options| options.columns.key = vec!["meter".to_owned()]).unwrap();
    let keys: Vec<_> = recording
        .readings
        .iter()
        .map(|reading| recording.key(reading))
        .collect();
    assert_eq!(keys, [Some("a"), Some("b"), Some("a")]);
    assert_eq!(recording.report.same_time, 1);
    assert_eq!(skipped(&recording), [(5, "the key is empty".to_owned())]);
}

#[test]
fn rows_without_a_reading_are_reported_with_line_and_text() {
    let csv = "time,kw\n2024-03-05 00:00:00,\n,5\nnoon,5\n\"2024-03-05 00:00:00\",\"a\nb\"\n\
        2024-03-05 00:00:00,NaN\n2024-03-05 00:00:00\n2024-03-05 00:00:00,5\n1899-12-31,1\n2024-03-05,1e300\n";
    let recording = read(csv).unwrap();
    let expected = [
        (2, "the value is empty"),
        (3, "the time is empty"),
        (
            4,
            "cannot parse \"noon\" as a time: not a known form of time such as 2024-03-05 06:30:00 or RFC 3339; \
             --time-format takes a pattern",
        ),
        (5, "cannot parse \"a\\nb\" as a number: it is not a number"),
        (7, "cannot parse \"NaN\" as a number: it is not a finite number"),
        (8, "the value is empty"),
        (
            10,
            "cannot parse \"1899-12-31 00:00:00\" as a time: beyond 1900 to 9999-12-30",
        ),
        (11, "the value 1e300 is beyond ±1e288"),
    ];
    assert_eq!(
        skipped(&recording),
        expected.map(|(line, reason)| (line, reason.to_owned()))
    );
    assert_eq!((recording.report.rows, recording.readings[0].line), (9, 9));
    assert_eq!(recording.report.skipped_count, 8);
}

#[test]
fn lines_are_counted_as_an_editor_does_whatever_ends_them() {
    const ROWS: &str =
        "time,kw,meter,note\n\n2024-03-05 00:00,1,a,\"two\nlines\"\nnoon,1,a,\n\n\nnight,1,a,\n";
    for end in ["\n", "\r\n", "\r"] {
        let recording = read(&ROWS.replace('\n', end)).unwrap();
        let lines: Vec<u64> = skipped(&recording).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [5, 8], "{end:?}");
    }
}

#[test]
fn a_quote_that_swallows_rows_stops_the_reading() {
    let row = "2024-03-05 00:00,1,";
    for (line, note) in [
        (3, format!("\"oh\n{row}x\n")),
        (3, format!("\"12 inch\n{row}x\n{row}\"14 inch\n{row}x\n")),
        (3, format!("\"12 inch\n{row}x\n{row}\"\n{row}x\n")),
        (3, format!("\"long\n{}\"\n{row}x\n", "line\n".repeat(12))),
    ] {
        let csv = format!("time,kw,note\n{row}\n{row}{note}");
        let error = read(&csv).unwrap_err();
        assert!(
            matches!(error, Error::StrayQuote(found) if found == line),
            "{csv}: {error}"
        );
    }
    let csv = format!("time,kw,note\n{row}\"two\nlines, with a comma\"\n{row}5\" pipe\n");
    assert_eq!(values(&read(&csv).unwrap()), [1.0, 1.0]);
}

#[test]
fn keys_in_another_encoding_do_not_merge() {
    let csv = b"time,kw,meter\n2024-03-05 00:00,1,\xe4\n2024-03-05 00:05,1,\xf6\n";
    let mut options = options();
    options.columns.key = vec!["meter".to_owned()];
    let recording = Recording::read(csv.as_slice(), &options).unwrap();
    let sentence = "the key \"\u{fffd}\" is not UTF-8; convert the file".to_owned();
    assert_eq!(skipped(&recording), [(2, sentence.clone()), (3, sentence)]);
}

#[test]
fn a_range_includes_its_beginning_and_excludes_its_end() {
    let csv = "kw,time\n0,2024-03-05 00:00\n1,2024-03-05 00:05\n2,2024-03-05 00:10\n3,2024-03-05 00:15\n";
    let at = |text| {
        let source = crate::notation::time::Source::Text(text);
        crate::notation::time::TimeNotation::Text.read(source, None).ok()
    };
    let recording = read_as(csv, |options| {
        options.range = TimeRange {
            from: at("2024-03-05 00:05"),
            until: at("2024-03-05T00:15Z"),
        };
    })
    .unwrap();
    assert_eq!(values(&recording), [1.0, 2.0]);
    assert_eq!(recording.report.outside, 2);
}

#[test]
fn an_unknown_column_lists_the_existing_ones() {
    let error = read_as("time,load\n", |options| {
        options.columns.value = Some("kw".to_owned())
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the CSV has no column \"kw\"; its columns are: time, load"
    );
    let error = read("time,b\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "none of the CSV's columns looks like the value: name it with --value-column; they are: time, b"
    );
    assert_eq!(read("").unwrap_err().to_string(), "the file is empty");
    // Neither many names nor a long one make the sentence longer than a screen.
    for heading in ["x".repeat(1_000_000), "column,".repeat(100_000)] {
        let sentence = read(&format!("{heading}\n")).unwrap_err().to_string();
        assert!(sentence.chars().count() < 1000, "{}", sentence.len());
    }
}

#[test]
fn columns_are_told_by_their_names_and_cells() {
    for (heading, row, expected) in [
        (
            "timestamp,value",
            "2024-03-05,1",
            "the time is column \"timestamp\" (--time-column); the value is column \"value\" (--value-column)",
        ),
        (
            "value,meter,TS",
            "1,a,2024-03-05",
            "the time is column \"TS\" (--time-column); the value is column \"value\" (--value-column)",
        ),
        (
            "reading_id,reading_time,kwh",
            "7,2024-03-05,1",
            "the time is column \"reading_time\" (--time-column); the value is column \"kwh\" (--value-column)",
        ),
        (
            "meterId,Date,Time,Energy unit,Energy",
            "7,2024-03-05,00:30,kWh,1",
            "the time is column \"Date\" and \"Time\" (--time-column); the value is column \"Energy\" (--value-column)",
        ),
        (
            "Reading Time,Reading Value",
            "2024-03-05,1",
            "the time is column \"Reading Time\" (--time-column); the value is column \"Reading Value\" (--value-column)",
        ),
    ] {
        let recording = read(&format!("{heading}\n{row}\n")).unwrap();
        assert_eq!(recording.report.assumed.join("; "), expected, "{heading}");
        assert_eq!(values(&recording), [1.0], "{heading}");
    }
}

#[test]
fn an_autumn_day_has_25_hours_in_either_order_of_the_file() {
    let walls = |step_minutes: usize| -> Vec<String> {
        (0..25 * 60)
            .step_by(step_minutes)
            .map(|minute| {
                // 01:00 to 02:00 comes twice.
                let shown = if minute < 120 { minute } else { minute - 60 };
                format!("2024-11-03 {:02}:{:02},1\n", shown / 60, shown % 60)
            })
            .collect()
    };
    for step_minutes in [5, 15, 20, 30, 60] {
        let mut rows = walls(step_minutes);
        for direction in ["oldest first", "newest first"] {
            let csv = format!("time,kw\n{}", rows.concat());
            let boston = |options: &mut ReadOptions| options.time_zone = Some(Tz::America__New_York);
            let recording = read_as(&csv, boston).unwrap();
            let steps: Vec<i64> = recording
                .readings
                .windows(2)
                .map(|pair| (pair[1].time_ms - pair[0].time_ms) / 60_000)
                .collect();
            assert!(
                steps.iter().all(|step| *step == step_minutes as i64),
                "{step_minutes} {direction}: {steps:?}"
            );
            assert_eq!(times(&recording)[0], "2024-11-03T00:00:00-04:00");
            rows.reverse();
        }
    }
}

#[test]
fn text_is_read_whatever_it_is_packed_and_encoded_in() {
    // A character of two units lies across every boundary of a buffer for some length of the note.
    for length in 4090..4100 {
        let csv = format!(
            "time,kw,note\n2024-03-05 00:00,1,{}\u{1f50c}\n2024-03-05 00:05,2,\n",
            "x".repeat(length)
        );
        let units: Vec<u16> = csv.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for (mark, bytes) in [
            (&b"\xff\xfe"[..], &little),
            (b"\xfe\xff", &big),
            (b"", &little),
            (b"", &big),
        ] {
            let file = [mark, bytes].concat();
            let recording = Recording::read(file.as_slice(), &options()).unwrap();
            assert_eq!(values(&recording), [1.0, 2.0], "{mark:?} {length}");
            assert_eq!(recording.report.assumed[0], "the file is converted from UTF-16");
        }
    }
    let packed = |text: &str| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut writer, text.as_bytes()).unwrap();
        writer.finish().unwrap()
    };
    // As `cat a.gz b.gz` makes them.
    let file = [
        packed("time,kw\n2024-03-05 00:00,1\n"),
        packed("2024-03-05 00:05,2\n"),
    ]
    .concat();
    let recording = Recording::read(file.as_slice(), &options()).unwrap();
    assert_eq!(values(&recording), [1.0, 2.0]);
    let cut = &file[..file.len() - 12];
    assert!(matches!(
        Recording::read(cut, &options()),
        Err(Error::Io(_) | Error::Csv(_))
    ));
    for (file, name) in [
        (&b"PK\x03\x04..."[..], "a zip archive"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"<?xml version=\"1.0\"?>", "XML"),
        (b"[{\"ts\": 1}]", "an array of JSON"),
        (b"PAR1", "a Parquet file"),
    ] {
        let error = Recording::read(file, &options()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("the file is {name}")), "{error}");
    }
}

#[test]
fn lines_of_json_that_hold_no_reading_are_reported() {
    let lines = "{\"ts\":\"2024-03-05 00:00:00\",\"value\":1}\n\n{\"value\":2}\n{\"ts\":\"noon\",\"value\":3}\nnoise\n";
    let recording = read_as(lines, |options| {
        options.reading.skip = vec![crate::decode::Reason::MissingField];
    })
    .unwrap();
    assert_eq!(values(&recording), [1.0]);
    assert_eq!(times(&recording), ["2024-03-05T00:00:00.000Z"]);
    let lines: Vec<u64> = skipped(&recording).iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 4, 5]);
    assert_eq!(recording.report.rows, 4);
    assert_eq!(
        recording.report.skipped[0].reason.to_string(),
        "reading.where or reading.skip passes over it"
    );
}
