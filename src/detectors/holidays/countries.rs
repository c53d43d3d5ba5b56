//! The holidays of countries whose laws are rules that a program can follow: the whole country's, none of its parts'.

use chrono::{Datelike, Days, NaiveDate, Weekday};

/// A country, by its code of ISO 3166.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Country {
    Austria,
    Germany,
    France,
    UnitedStates,
}

impl Country {
    pub(super) const ALL: [Country; 4] = [
        Country::Austria,
        Country::Germany,
        Country::France,
        Country::UnitedStates,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Country::Austria => "AT",
            Country::Germany => "DE",
            Country::France => "FR",
            Country::UnitedStates => "US",
        }
    }

    pub(super) fn named(name: &str) -> Option<Country> {
        Country::ALL.into_iter().find(|country| country.name() == name)
    }

    /// Whether a day is a holiday.
    pub(super) fn rests_on(self, date: NaiveDate) -> bool {
        let of_year = (date.month(), date.day());
        let after_easter =
            |days: i64| easter(date.year()).is_some_and(|easter| (date - easter).num_days() == days);
        let easter_monday_ascension_or_whit_monday = after_easter(1) || after_easter(39) || after_easter(50);
        match self {
            Country::Austria => {
                let fixed = [
                    (1, 1),
                    (1, 6),
                    (5, 1),
                    (8, 15),
                    (10, 26),
                    (11, 1),
                    (12, 8),
                    (12, 25),
                    (12, 26),
                ];
                // The last is Corpus Christi.
                fixed.contains(&of_year) || easter_monday_ascension_or_whit_monday || after_easter(60)
            }
            Country::Germany => {
                let fixed = [(1, 1), (5, 1), (10, 3), (12, 25), (12, 26)];
                // Good Friday; and the Reformation's 500th anniversary, in the whole country once.
                let is_good_friday = after_easter(-2);
                let is_anniversary = (date.year(), date.month(), date.day()) == (2017, 10, 31);
                fixed.contains(&of_year)
                    || easter_monday_ascension_or_whit_monday
                    || is_good_friday
                    || is_anniversary
            }
            Country::France => {
                let fixed = [
                    (1, 1),
                    (5, 1),
                    (5, 8),
                    (7, 14),
                    (8, 15),
                    (11, 1),
                    (11, 11),
                    (12, 25),
                ];
                fixed.contains(&of_year) || easter_monday_ascension_or_whit_monday
            }
            Country::UnitedStates => is_federal_holiday(date),
        }
    }
}

/// Of the federal government (5 U.S.C. 6103), and the working day on which one that falls on a weekend is observed.
fn is_federal_holiday(date: NaiveDate) -> bool {
    let is_observed = match date.weekday() {
        Weekday::Fri => date.checked_add_days(Days::new(1)).is_some_and(is_fixed_federal),
        Weekday::Mon => date.checked_sub_days(Days::new(1)).is_some_and(is_fixed_federal),
        _ => false,
    };
    let is_nth = |month: u32, weekday: Weekday, nth: u32| {
        (date.month(), date.weekday()) == (month, weekday) && (date.day() - 1) / 7 + 1 == nth
    };
    let is_last_monday_of_may = date.month() == 5 && date.weekday() == Weekday::Mon && date.day() > 24;
    is_fixed_federal(date)
        || is_observed
        || is_nth(1, Weekday::Mon, 3) && date.year() >= 1986
        || is_nth(2, Weekday::Mon, 3)
        || is_last_monday_of_may
        || is_nth(9, Weekday::Mon, 1)
        || is_nth(10, Weekday::Mon, 2)
        || is_nth(11, Weekday::Thu, 4)
}

fn is_fixed_federal(date: NaiveDate) -> bool {
    match (date.month(), date.day()) {
        (1, 1) | (7, 4) | (11, 11) | (12, 25) => true,
        // Juneteenth became one in 2021.
        (6, 19) => date.year() >= 2021,
        _ => false,
    }
}

/// Easter Sunday of the Gregorian calendar, by the method of an anonymous reader of Nature, 1876.
fn easter(year: i32) -> Option<NaiveDate> {
    let golden = year.rem_euclid(19);
    let (century, of_century) = (year.div_euclid(100), year.rem_euclid(100));
    let leap_correction = century - century / 4 - (century - (century + 8) / 25 + 1) / 3;
    let moon = (19 * golden + leap_correction + 15).rem_euclid(30);
    let weekday = (32 + 2 * (century % 4) + 2 * (of_century / 4) - moon - of_century % 4).rem_euclid(7);
    let shift = (golden + 11 * moon + 22 * weekday) / 451;
    let days = moon + weekday - 7 * shift + 114;
    NaiveDate::from_ymd_opt(year, (days / 31) as u32, (days % 31 + 1) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holidays(country: Country, year: i32) -> Vec<String> {
        let days = NaiveDate::from_ymd_opt(year, 1, 1).unwrap().iter_days();
        days.take_while(|date| date.year() == year)
            .filter(|date| country.rests_on(*date))
            .map(|date| date.format("%m-%d").to_string())
            .collect()
    }

    #[test]
    fn easter_is_where_the_church_has_it() {
        for date in [
            "1961-04-02",
            "1981-04-19",
            "2000-04-23",
            "2008-03-23",
            "2011-04-24",
            "2019-04-21",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2038-04-25",
            "2049-04-18",
            "2076-04-19",
        ] {
            let date: NaiveDate = date.parse().unwrap();
            assert_eq!(easter(date.year()), Some(date));
        }
        assert!((1..9999).all(|year| easter(year).is_some_and(|easter| easter.weekday() == Weekday::Sun)));
    }

    /// As the governments publish them.
    #[test]
    fn holidays_are_those_of_the_law() {
        assert_eq!(
            holidays(Country::Germany, 2024),
            [
                "01-01", "03-29", "04-01", "05-01", "05-09", "05-20", "10-03", "12-25", "12-26"
            ]
        );
        assert!(holidays(Country::Germany, 2017).contains(&"10-31".to_owned()));
        assert_eq!(
            holidays(Country::France, 2025),
            [
                "01-01", "04-21", "05-01", "05-08", "05-29", "06-09", "07-14", "08-15", "11-01", "11-11",
                "12-25"
            ]
        );
        assert_eq!(
            holidays(Country::Austria, 2025),
            [
                "01-01", "01-06", "04-21", "05-01", "05-29", "06-09", "06-19", "08-15", "10-26", "11-01",
                "12-08", "12-25", "12-26"
            ]
        );
        assert_eq!(
            holidays(Country::UnitedStates, 2024),
            [
                "01-01", "01-15", "02-19", "05-27", "06-19", "07-04", "09-02", "10-14", "11-11", "11-28",
                "12-25"
            ]
        );
        // New Year's Day of 2022 was a Saturday, observed in the year before; so were Christmas and Juneteenth moved.
        let of_2021 = holidays(Country::UnitedStates, 2021);
        for date in ["06-18", "06-19", "07-04", "07-05", "12-24", "12-25", "12-31"] {
            assert!(of_2021.contains(&date.to_owned()), "{date} {of_2021:?}");
        }
    }

    #[test]
    fn each_country_has_its_name() {
        for country in Country::ALL {
            assert_eq!(Country::named(country.name()), Some(country));
        }
    }
}
