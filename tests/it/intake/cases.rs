//! What comes of each file of tests/data/field-cases. One that is answered by a refusal says why.

/// A file, the flags that it is read with, and what comes of it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) flags: &'static [&'static str],
    pub(super) expected: Expected,
    /// What is reported on standard error beside that.
    pub(super) told: &'static [&'static str],
}

pub(super) enum Expected {
    /// Times as clocks show them in the file's zone, and values.
    Readings(&'static [(&'static str, f64)]),
    /// No reading is taken: the file is answered by a sentence that says what to do.
    Refused,
}

use Expected::{Readings, Refused};

pub(super) const fn case(
    name: &'static str,
    flags: &'static [&'static str],
    expected: Expected,
    told: &'static [&'static str],
) -> Case {
    Case {
        name,
        flags,
        expected,
        told,
    }
}

pub(super) const CASES: &[Case] = &[
    // Six readings, of which two are an hour after the others, although clocks show the same.
    case(
        "f01-boston-dst",
        &["--time-zone", "America/New_York"],
        Readings(&[
            ("2024-11-03 00:30:00", 1.0),
            ("2024-11-03 01:00:00", 10.0),
            ("2024-11-03 01:30:00", 20.0),
            ("2024-11-03 01:00:00", 10.0),
            ("2024-11-03 01:30:00", 40.0),
            ("2024-11-03 02:00:00", 5.0),
        ]),
        &["4 times that come twice in America/New_York"],
    ),
    case(
        "f02-uci",
        &[],
        Readings(&[("2006-12-16 17:24:00", 4.216), ("2007-01-01 00:00:00", 2.58)]),
        &["\"Date\" and \"Time\"", "line 3: cannot parse \"?\"", "day first"],
    ),
    case(
        "f03-ddmm",
        &[],
        Readings(&[
            ("2024-01-01 00:00:00", 1.0),
            ("2024-01-01 12:00:00", 1.0),
            ("2024-01-02 00:00:00", 2.0),
            ("2024-01-02 12:00:00", 2.0),
            ("2024-01-12 00:00:00", 12.0),
            ("2024-01-12 12:00:00", 12.0),
            ("2024-01-13 00:00:00", 13.0),
            ("2024-01-13 12:00:00", 13.0),
            ("2024-01-14 00:00:00", 14.0),
            ("2024-01-14 12:00:00", 14.0),
        ]),
        &["the day first, as line 8 shows: 13/01/2024 00:00 (--date-order)"],
    ),
    case(
        "f06-london",
        &["--value-column", "KWH/hh (per half hour) "],
        Readings(&[("2012-10-12 00:30:00", 0.0), ("2012-10-12 01:00:00", 0.25)]),
        &["line 4: cannot parse \"Null\""],
    ),
    case(
        "f06b-london-trim",
        &[
            "--value-column",
            "KWH/hh (per half hour)",
            "--key-column",
            "LCLid",
        ],
        Readings(&[("2012-10-12 00:30:00", 0.0), ("2012-10-12 01:00:00", 0.25)]),
        &[],
    ),
    case(
        "f07-greenbutton",
        &[],
        Readings(&[("2025-10-14 00:00:00", 0.3), ("2025-10-14 00:15:00", 0.23)]),
        &[
            "the heading is line 6 (--skip-lines)",
            "\"DATE\" and \"START TIME\"",
        ],
    ),
    case(
        "f07b-greenbutton-nopre",
        &["--time-column", "DATE", "--time-column", "START TIME"],
        Readings(&[("2025-10-14 00:00:00", 0.3), ("2025-10-14 00:15:00", 0.23)]),
        &[],
    ),
    case(
        "f07c-dateonly",
        &[],
        Readings(&[("2025-10-14 00:00:00", 1.0), ("2025-10-15 00:00:00", 2.0)]),
        &[],
    ),
    // The zone is told by the heading, the hour that comes twice by the order.
    case(
        "f08-entsoe",
        &[],
        Readings(&[("2024-10-27 02:00:00", 41234.0), ("2024-10-27 02:00:00", 40234.0)]),
        &[
            "times are of CET",
            "line 3: cannot parse \"n/e\"",
            "Actual Total Load",
        ],
    ),
    case(
        "f09-decimal-comma",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.5), ("2024-03-05 00:15:00", 1234.5)]),
        &["a comma is the decimal mark, as line 2 shows: 1,5 (--decimal)"],
    ),
    // A comma that may be a decimal one is never dropped, nor taken for one unasked.
    case("f09b-decimal-comma-quoted", &[], Refused, &["--decimal ','"]),
    case(
        "f09b-decimal-comma-quoted",
        &["--decimal", ","],
        Readings(&[("2024-03-05 00:00:00", 1.5), ("2024-03-05 00:15:00", 1.234)]),
        &["line 4: cannot parse \"1,234.5\""],
    ),
    case(
        "f11-caiso",
        &[],
        Readings(&[("2026-10-04 18:00:00", 1868.0)]),
        &[],
    ),
    case(
        "f12-pjm",
        &[],
        Readings(&[("2021-01-01 04:50:00", 3016.8), ("2021-01-01 04:55:00", 3016.8)]),
        &[
            "times are of UTC, as the column \"datetime_beginning_utc\" says",
            "out of order: 1",
        ],
    ),
    // Which of the zones' loads is asked for, only the reader can say.
    case(
        "f13-ercot",
        &[],
        Refused,
        &["looks like the value: name it with --value-column"],
    ),
    case(
        "f13-ercot",
        &["--value-column", "TOTAL", "--stamp", "end", "--interval", "1h"],
        Readings(&[
            ("2026-09-28 00:00:00", 60471.86),
            ("2026-09-28 23:00:00", 50471.86),
        ]),
        &["the month first, as line 2 shows"],
    ),
    case(
        "f15-ha",
        &[],
        Readings(&[("2026-04-24 10:00:00", 75.0), ("2026-04-24 10:30:00", 76.0)]),
        &["line 3: cannot parse \"unavailable\""],
    ),
    case(
        "f17-nab",
        &[],
        Readings(&[("2014-02-14 14:30:00", 0.132), ("2014-02-14 14:35:00", 0.134)]),
        &[],
    ),
    case(
        "f18-excel-bom-crlf",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.5)]),
        &[],
    ),
    case(
        "f19-tabs",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.5)]),
        &["separated by tabs (--delimiter)"],
    ),
    case(
        "f20-utf16",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.5)]),
        &["converted from UTF-16"],
    ),
    // The first of two columns is not taken for the meant one.
    case(
        "f21-dup-headers",
        &[],
        Refused,
        &["two columns are called kw; name one of them as kw#1 or kw#2"],
    ),
    case(
        "f21-dup-headers",
        &["--value-column", "kw#2"],
        Readings(&[("2024-03-05 00:00:00", 100.0), ("2024-03-05 00:05:00", 200.0)]),
        &[],
    ),
    case(
        "f22-trailing-empty",
        &[],
        Readings(&[
            ("2024-03-05 00:00:00", 1.0),
            ("2024-03-05 00:05:00", 2.0),
            ("2024-03-05 00:10:00", 3.0),
        ]),
        &[],
    ),
    case(
        "f23-comments",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.0), ("2024-03-05 00:05:00", 2.0)]),
        &["lines that begin with # are comments"],
    ),
    case(
        "f25-gz",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.0)]),
        &["the file is unpacked (gzip)"],
    ),
    case(
        "f26-offsets",
        &[],
        Readings(&[
            ("2024-11-03 01:30:00", 3.0),
            ("2024-11-03 05:00:00", 1.0),
            ("2024-11-03 06:00:00", 2.0),
        ]),
        &[],
    ),
    case(
        "f27-epoch",
        &[],
        Readings(&[
            ("2024-03-05 00:00:00", 1.0),
            ("2024-03-05 00:00:00", 2.0),
            ("2024-03-05 00:00:00.500", 3.0),
        ]),
        &["times are numbers since 1970, whose size decides their unit"],
    ),
    case(
        "f28-numbers",
        &[],
        Readings(&[
            ("2024-03-05 00:15:00", 1000.0),
            ("2024-03-05 00:30:00", 5.0),
            ("2024-03-05 00:35:00", 0.5),
            ("2024-03-05 00:50:00", 0.0),
        ]),
        &[
            "line 2: cannot parse \"$1.50\"",
            "line 11: the value 1e400 is beyond",
        ],
    ),
    case(
        "f29-value-max",
        &[],
        Readings(&[("2024-03-05 00:05:00", 1.0)]),
        &["line 2: the value 1e300 is beyond ±1e288"],
    ),
    // Where the quote was meant to end is a guess.
    case(
        "f30-quote-unclosed",
        &[],
        Refused,
        &["the quote on line 2 is not closed"],
    ),
    // Which of two numbers would be the value is a guess.
    case(
        "f31-no-header",
        &[],
        Refused,
        &["line 1 is a reading, so that the file has no heading"],
    ),
    case(
        "f32-grafana-ms",
        &[],
        Readings(&[("2024-03-05 00:00:00.123", 1.0), ("2024-03-05 00:00:00.123", 2.0)]),
        &[],
    ),
    case(
        "f34-cr-only",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.0), ("2024-03-05 00:05:00", 2.0)]),
        &[],
    ),
    case("f35-empty", &[], Refused, &["the file is empty"]),
    case("f36-header-only", &[], Refused, &["the file has no rows"]),
    // It may be another number; a spreadsheet writes dates where its cells are formatted as such.
    case(
        "f38-excel-serial",
        &[],
        Refused,
        &["a spreadsheet's number of 2024-03-05"],
    ),
    case(
        "f39-lookalike",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.0)]),
        &["the heading is line 2"],
    ),
    case(
        "f40-bom-quoted-first",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.0)]),
        &[],
    ),
    case(
        "f42-key-default",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.0), ("2024-03-05 00:00:00", 100.0)]),
        &["--key-column names what tells series apart"],
    ),
    // May or March: no row decides.
    case(
        "f45-minute-cut",
        &[],
        Refused,
        &["2024-05-03 or 2024-03-05", "--date-order"],
    ),
    case(
        "f45-minute-cut",
        &["--date-order", "mdy"],
        Readings(&[
            ("2024-03-05 00:05:00", 1.0),
            ("2024-03-05 00:05:00", 1.0),
            ("2024-03-05 00:05:00", 1.0),
            ("2024-03-05 00:05:00", 5.0),
        ]),
        &["2 readings have the time, value and key of another; they are judged as well"],
    ),
    case(
        "f45-minute-cut",
        &["--date-order", "mdy", "--repeated", "drop"],
        Readings(&[("2024-03-05 00:05:00", 1.0), ("2024-03-05 00:05:00", 5.0)]),
        &["they are dropped"],
    ),
    // Where the quote was meant to end is a guess.
    case(
        "f47-quote-midfile",
        &[],
        Refused,
        &["the quote on line 3 is not closed"],
    ),
    case(
        "f48-wide",
        &[],
        Readings(&[
            ("2024-03-05 00:00:00", 1.0),
            ("2024-03-05 00:30:00", 2.0),
            ("2024-03-05 01:00:00", 3.0),
        ]),
        &["columns 00:00 to 01:00 are values of these times of each row's date"],
    ),
    case(
        "f49-leap-and-old",
        &[],
        Readings(&[("2016-12-31 23:59:59", 3.0), ("2016-12-31 23:59:59.999", 2.0)]),
        &["line 2: cannot parse \"1899-12-31 00:00:00\" as a time: beyond 1900"],
    ),
    case(
        "f50-ndjson",
        &[],
        Readings(&[("2024-03-05 00:00:00", 1.0), ("2024-03-05 00:05:00", 2.0)]),
        &["lines are JSON"],
    ),
    case(
        "f51-flip",
        &[],
        Readings(&[("2024-03-04 23:00:00", 1.0)]),
        &["line 3: 2024-03-05 00:05:00 has no offset, and other times have one"],
    ),
    case(
        "f52-guess-id",
        &[],
        Readings(&[
            ("2024-03-05 00:00:00", 0.0),
            ("2024-03-05 01:00:00", 1.0),
            ("2024-03-05 02:00:00", 2.0),
            ("2024-03-05 03:00:00", 3.0),
            ("2024-03-05 04:00:00", 4.0),
            ("2024-03-05 05:00:00", 5.0),
            ("2024-03-05 06:00:00", 6.0),
            ("2024-03-05 07:00:00", 7.0),
            ("2024-03-05 08:00:00", 8.0),
            ("2024-03-05 09:00:00", 9.0),
            ("2024-03-05 10:00:00", 10.0),
            ("2024-03-05 11:00:00", 11.0),
            ("2024-03-05 12:00:00", 12.0),
            ("2024-03-05 13:00:00", 13.0),
            ("2024-03-05 14:00:00", 14.0),
            ("2024-03-05 15:00:00", 15.0),
            ("2024-03-05 16:00:00", 16.0),
            ("2024-03-05 17:00:00", 17.0),
            ("2024-03-05 18:00:00", 18.0),
            ("2024-03-05 19:00:00", 19.0),
            ("2024-03-05 20:00:00", 20.0),
            ("2024-03-05 21:00:00", 21.0),
            ("2024-03-05 22:00:00", 22.0),
            ("2024-03-05 23:00:00", 23.0),
        ]),
        &["the value is column \"kwh\""],
    ),
    case(
        "f51-flip",
        &["--time-zone", "Europe/Berlin"],
        Readings(&[("2024-03-05 00:00:00", 1.0), ("2024-03-05 00:05:00", 2.0)]),
        &[],
    ),
];
