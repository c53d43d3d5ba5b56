//! Files of the same kinds, in a few lines each.

use super::cases::Expected::{Readings, Refused};
use super::cases::{Case, case};

/// Cases of the same kinds that need no file of their own.
pub(super) const INLINE: &[(&str, Case)] = &[
    (
        "time,kw\n2024-03-05 00:00:00,1,5\n2024-03-05 00:05:00,1,234.5\n2024-03-05 00:10:00,2\n",
        case(
            "longer rows than the heading",
            &[],
            Readings(&[("2024-03-05 00:10:00", 2.0)]),
            &[
                "line 2: 3 fields, the header has 2",
                "line 3: 3 fields, the header has 2",
            ],
        ),
    ),
    (
        "Datetime,kWh\n01/01/2024 00:00,1\n02/01/2024 00:00,2\n12/01/2024 00:00,12\n",
        case(
            "only days up to 12",
            &[],
            Refused,
            &["02/01/2024 00:00 is 2024-01-02 or 2024-02-01, and no other row decides"],
        ),
    ),
    (
        "time,kw\n13/01/2024 00:00,1\n01/13/2024 00:00,2\n",
        case(
            "both orders",
            &[],
            Refused,
            &["line 2 can only have the day before the month"],
        ),
    ),
    (
        "time,kw\n3/5/24 0:05,1\n05-03-24 00:05,2\n",
        case("two-digit years", &[], Refused, &["a year needs four digits"]),
    ),
    (
        "time,kw\n05-03-24 00:05,2\n",
        case(
            "a pattern for them",
            &["--time-format", "%d-%m-%y %H:%M"],
            Readings(&[("2024-03-05 00:05:00", 2.0)]),
            &[],
        ),
    ),
    (
        "sep=;\ntime;kw\n2024-03-05 00:00;1.5\n",
        case(
            "sep=",
            &[],
            Readings(&[("2024-03-05 00:00:00", 1.5)]),
            &["separated by \";\" (sep=)"],
        ),
    ),
    (
        "time;kw\n2024-03-05 00:00;1,5\n2024-03-05 00:05;1.5\n",
        case(
            "both decimal marks",
            &[],
            Refused,
            &["line 3 has a decimal point, and line 2 a decimal comma"],
        ),
    ),
    (
        "time;kw\n2024-03-05 00:00;1.234\n2024-03-05 00:05;1,5\n",
        case(
            "a decimal comma decides for all rows",
            &[],
            Readings(&[("2024-03-05 00:00:00", 1234.0), ("2024-03-05 00:05:00", 1.5)]),
            &[],
        ),
    ),
    (
        "time;kw\n2024-03-05 00:00;1,234\n",
        case("a comma that does not decide", &[], Refused, &["--decimal ','"]),
    ),
    (
        "MTU (CET/CEST),Load [MW]\n26/10/2025 02:00:00 (CEST) - 26/10/2025 02:15:00 (CEST),1\n\
         26/10/2025 02:00:00 (CET) - 26/10/2025 02:15:00 (CET),2\n",
        case(
            "a suffix decides which hour",
            &[],
            Readings(&[("2025-10-26 02:00:00", 1.0), ("2025-10-26 02:00:00", 2.0)]),
            &[],
        ),
    ),
    (
        "SETTLEMENT_DATE,SETTLEMENT_PERIOD,ND\n27-OCT-2024,1,1\n27-OCT-2024,4,4\n27-OCT-2024,6,6\n27-OCT-2024,50,50\n",
        case(
            "settlement periods of a day of 25 hours",
            &[
                "--time-column",
                "SETTLEMENT_DATE",
                "--time-column",
                "SETTLEMENT_PERIOD",
                "--value-column",
                "ND",
                "--time-zone",
                "Europe/London",
            ],
            Readings(&[
                ("2024-10-27 00:00:00", 1.0),
                ("2024-10-27 01:30:00", 4.0),
                ("2024-10-27 01:30:00", 6.0),
                ("2024-10-27 23:30:00", 50.0),
            ]),
            &["half hours of a day in Europe/London"],
        ),
    ),
    (
        "time,kw,note\n2024-03-05 00:00,1,\"5 inch\n2024-03-05 00:05,2,\"6 inch\n2024-03-05 00:10,3,\n",
        case(
            "two marks for inches",
            &[],
            Refused,
            &["the quote on line 2 is not closed, or spans rows"],
        ),
    ),
    (
        "PK\u{3}\u{4}xl",
        case(
            "a spreadsheet",
            &[],
            Refused,
            &["a zip archive, as spreadsheets (.xlsx) are"],
        ),
    ),
    (
        "time,kw\n202403050605,1\n",
        case("twelve digits", &[], Refused, &["--time-format %Y%m%d%H%M"]),
    ),
    (
        "time,kw\n2024-03-05 06:30 EST,1\n",
        case(
            "an abbreviation",
            &[],
            Refused,
            &["the zone EST is ambiguous or unknown"],
        ),
    ),
    (
        "reading_id,reading_time,a,b\n1,2024-03-05,5,6\n",
        case(
            "an id is no value",
            &[],
            Refused,
            &["name it with --value-column"],
        ),
    ),
    (
        "time,kw\n2024-03-05 01:00,1\n2024-03-05 02:00,2\n2024-03-05 24:00,24\n",
        case(
            "ends of hours",
            &["--stamp", "end"],
            Readings(&[
                ("2024-03-05 00:00:00", 1.0),
                ("2024-03-05 01:00:00", 2.0),
                ("2024-03-05 23:00:00", 24.0),
            ]),
            &["readings cover 1h before their times (--interval)"],
        ),
    ),
    (
        "\"C\",\"Hourly Load\"\n\"H\",\"Date\",\"Hour Ending\",\"Total Load\"\n\"H\",\"Date\",\"HH\",\"MW\"\n\
         \"D\",\"11/03/2024\",\"01\",\"9000\"\n\"D\",\"11/03/2024\",\"02\",\"8800\"\n\
         \"D\",\"11/03/2024\",\"02X\",\"8700\"\n\"D\",\"11/13/2024\",\"24\",\"9100\"\n\"T\",\"4\"\n",
        case(
            "rows of a kind, numbered hours",
            &[
                "--stamp",
                "end",
                "--interval",
                "1h",
                "--time-zone",
                "America/New_York",
            ],
            Readings(&[
                ("2024-11-03 00:00:00", 9000.0),
                ("2024-11-03 01:00:00", 8800.0),
                ("2024-11-03 01:00:00", 8700.0),
                ("2024-11-13 23:00:00", 9100.0),
            ]),
            &["\"Date\" and \"Hour Ending\"", "line 8: the time is empty"],
        ),
    ),
    (
        "Full label,CPUUtilization\nLabel,CPUUtilization\nPeriod,300\n2026/04/24 10:00:00,0.11\n2026/04/24 10:05:00,0.12\n",
        case(
            "columns told by their cells",
            &[],
            Readings(&[("2026-04-24 10:00:00", 0.11), ("2026-04-24 10:05:00", 0.12)]),
            &["(--time-column)"],
        ),
    ),
    (
        "2024-03-05 00:00:00;1,5\n",
        case("no heading, semicolons", &[], Refused, &["line 1 is a reading"]),
    ),
    (
        "100,NEM12,202403051200,X,Y\n200,NMI1,E1,1,E1,N1,1,kWh,30,\n300,20240305,1,2,3\n",
        case("numbered parts of a day", &[], Refused, &["a wide table"]),
    ),
    (
        "date,meter,00:00,12:00,24:00\n13/03/2024,a,1,2,3\n14/03/2024,b,,5,6\n",
        case(
            "a column for each time of day",
            &["--key-column", "meter", "--stamp", "end", "--interval", "12h"],
            Readings(&[
                ("2024-03-12 12:00:00", 1.0),
                ("2024-03-13 00:00:00", 2.0),
                ("2024-03-13 12:00:00", 3.0),
                ("2024-03-14 00:00:00", 5.0),
                ("2024-03-14 12:00:00", 6.0),
            ]),
            &["line 3: the value is empty"],
        ),
    ),
    (
        "Date;Time;CO(GT);T;;\n10/03/2004;18.00.00;2,6;13,6;;\n13/03/2004;19.30.05;2;13,3;;\n;;;;;\n",
        case(
            "a clock with dots",
            &["--value-column", "T"],
            Readings(&[("2004-03-10 18:00:00", 13.6), ("2004-03-13 19:30:05", 13.3)]),
            &[
                "dates have the day first, as line 3 shows",
                "line 4: the time is empty",
            ],
        ),
    ),
    (
        "sensor,at,quantity,reading\ns1,2024-05-01T00:00:00Z,temp,1\ns1,2024-05-01T00:00:00Z,hum,2\n\
         s/2,2024-05-01T00:00:00Z,temp,3\n",
        case(
            "a key of two columns",
            &["--key-column", "sensor", "--key-column", "quantity"],
            Readings(&[("2024-05-01 00:00:00", 1.0), ("2024-05-01 00:00:00", 2.0)]),
            &["line 4: the key's part \"s/2\" holds \"/\""],
        ),
    ),
    (
        "timestamp,load_mw\n2024-05-01 00:00,\"1,234.5\"\n2024-05-01 01:00,934.5\n",
        case(
            "a comma between thousands",
            &[],
            Readings(&[("2024-05-01 01:00:00", 934.5)]),
            &["or stand between thousands; write it without the comma"],
        ),
    ),
];
