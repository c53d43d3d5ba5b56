//! A record that was found good as a whole.

use crate::reading::Reading;

/// What a good record holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Examined<'a> {
    /// One reading, and here it is: it need not be decoded a second time.
    One(Reading<'a>),
    /// So many readings. [`decode`](super::Decoder::decode) yields them again, and does not fail.
    Several(usize),
    /// None, and that is not an error: the settings pass over such records.
    Skipped,
}

/// Goes through the readings of a record and keeps the first.
#[derive(Debug, Default)]
pub(super) struct Examination<'a> {
    first: Option<Reading<'a>>,
    count: usize,
}

impl<'a> Examination<'a> {
    #[inline]
    pub(super) fn note(&mut self, reading: Reading<'a>) {
        if self.count == 0 {
            self.first = Some(reading);
        }
        self.count += 1;
    }

    #[inline]
    pub(super) fn finish(self) -> Examined<'a> {
        match self.first {
            Some(reading) if self.count == 1 => Examined::One(reading),
            Some(_) => Examined::Several(self.count),
            None => Examined::Skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::SeriesKey;

    #[test]
    fn a_record_holds_one_reading_or_several_or_is_skipped() {
        let reading = |value| Reading::of_one_sample(SeriesKey::of_key("a".into()), 1, value);
        let examined = |values: &[f64]| {
            let mut examination = Examination::default();
            values.iter().for_each(|&value| examination.note(reading(value)));
            examination.finish()
        };
        assert_eq!(examined(&[5.0]), Examined::One(reading(5.0)));
        assert_eq!(examined(&[5.0, 6.0, 7.0]), Examined::Several(3));
        assert_eq!(examined(&[]), Examined::Skipped);
    }
}
