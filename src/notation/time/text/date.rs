//! The date, in each order in which people write it.

use chrono::NaiveDate;

use super::{DateOrder, Scanner, TimeError};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

impl Scanner<'_> {
    /// Passes `Fri, `, `Friday ` and the like.
    pub(super) fn weekday(&mut self) {
        if self.name(&WEEKDAYS).is_some() {
            self.accept(',');
            self.blanks();
        }
    }

    /// A date, as one of the forms that have it.
    pub(super) fn date(&mut self, order: Option<DateOrder>) -> Result<NaiveDate, TimeError> {
        let (year, month, day) = match self.digit_count() {
            0 => self.month_first_by_name()?,
            4 => self.year_first()?,
            8 | 14 => self.compact()?,
            1 | 2 => return self.day_or_month_first(order),
            _ => return Err(TimeError::UnknownForm),
        };
        NaiveDate::from_ymd_opt(year, month, day).ok_or(TimeError::NoSuchTime)
    }

    /// The number of a month by its English name or the first three letters of it.
    pub(super) fn month_name(&mut self) -> Option<u32> {
        self.name(&MONTHS).map(|place| place as u32 + 1)
    }

    /// # Errors
    /// [`TimeError::TwoDigitYear`] for a shorter number.
    pub(super) fn four_digit_year(&mut self) -> Result<i32, TimeError> {
        match self.digit_count() {
            2 => Err(TimeError::TwoDigitYear),
            4 => self
                .digits(4)
                .map(|year| year as i32)
                .ok_or(TimeError::UnknownForm),
            _ => Err(TimeError::UnknownForm),
        }
    }

    /// `2022-7-5`, `2022/07/05`, `2022.07.05`, `2022-Jul-05`.
    fn year_first(&mut self) -> Result<(i32, u32, u32), TimeError> {
        let year = self.four_digit_year()?;
        let mark = self.mark().ok_or(TimeError::UnknownForm)?;
        let month = self
            .month_name()
            .or_else(|| self.one_or_two_digits())
            .ok_or(TimeError::UnknownForm)?;
        let day = self.accept(mark).then(|| self.one_or_two_digits()).flatten();
        Ok((year, month, day.ok_or(TimeError::UnknownForm)?))
    }

    /// `20220705`; of fourteen digits the last six are the time of day, before which a `T` may be thought.
    fn compact(&mut self) -> Result<(i32, u32, u32), TimeError> {
        let unknown = TimeError::UnknownForm;
        let has_clock = self.digit_count() == 14;
        let mut number = |count| self.digits(count).ok_or(unknown.clone());
        let (year, month, day) = (number(4)? as i32, number(2)?, number(2)?);
        // Other numbers of eight digits are not dates.
        let is_date = (1900..2100).contains(&year) && NaiveDate::from_ymd_opt(year, month, day).is_some();
        if !is_date || has_clock != (self.digit_count() == 6) {
            return Err(TimeError::UnknownForm);
        }
        Ok((year, month, day))
    }

    /// `Jul 5, 2022`, `July 5 2022`.
    fn month_first_by_name(&mut self) -> Result<(i32, u32, u32), TimeError> {
        let month = self.month_name().ok_or(TimeError::UnknownForm)?;
        self.accept('.');
        let is_apart = self.blanks() > 0;
        let day = self.one_or_two_digits().ok_or(TimeError::UnknownForm)?;
        self.accept(',');
        if !is_apart || self.blanks() == 0 {
            return Err(TimeError::UnknownForm);
        }
        Ok((self.four_digit_year()?, month, day))
    }

    /// `5 Jul 2022`, `05-JUL-2022`, and what needs an order: `5/7/2022`, `05.07.2022`.
    fn day_or_month_first(&mut self, order: Option<DateOrder>) -> Result<NaiveDate, TimeError> {
        let first = self.one_or_two_digits().ok_or(TimeError::UnknownForm)?;
        let mark = self.mark_or_blank().ok_or(TimeError::UnknownForm)?;
        if let Some(month) = self.month_name() {
            let is_marked = if mark == ' ' {
                self.blanks() > 0
            } else {
                self.accept(mark)
            };
            if !is_marked {
                return Err(TimeError::UnknownForm);
            }
            let year = self.four_digit_year()?;
            return NaiveDate::from_ymd_opt(year, month, first).ok_or(TimeError::NoSuchTime);
        }
        let second = self.one_or_two_digits().ok_or(TimeError::UnknownForm)?;
        if mark == ' ' || !self.accept(mark) {
            return Err(TimeError::UnknownForm);
        }
        let year = self.four_digit_year()?;
        let day_first = NaiveDate::from_ymd_opt(year, second, first);
        let month_first = NaiveDate::from_ymd_opt(year, first, second);
        match order {
            Some(DateOrder::DayFirst) => day_first.ok_or(TimeError::NoSuchTime),
            Some(DateOrder::MonthFirst) => month_first.ok_or(TimeError::NoSuchTime),
            None if day_first.or(month_first).is_none() => Err(TimeError::NoSuchTime),
            None if first == second => day_first.ok_or(TimeError::NoSuchTime),
            None => Err(TimeError::DayOrMonthFirst {
                day_first,
                month_first,
            }),
        }
    }

    fn mark(&mut self) -> Option<char> {
        ['-', '/', '.'].into_iter().find(|mark| self.accept(*mark))
    }

    fn mark_or_blank(&mut self) -> Option<char> {
        self.mark().or_else(|| (self.blanks() > 0).then_some(' '))
    }

    /// The place of the name that comes next, or of its first three letters, after which there is no further letter.
    fn name(&mut self, names: &[&str]) -> Option<usize> {
        let length = self.rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let word = self.rest.get(..length)?;
        let is_name = |name: &&str| {
            word.eq_ignore_ascii_case(name)
                || name
                    .get(..3)
                    .is_some_and(|short| word.eq_ignore_ascii_case(short))
                || (word.eq_ignore_ascii_case("sept") && **name == *"september")
        };
        let place = names.iter().position(is_name)?;
        self.rest = &self.rest[length..];
        Some(place)
    }
}
