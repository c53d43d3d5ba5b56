//! What is usual at a time of the day and of the week.

use super::super::calendar::weekday_of;
use super::super::{DAY_MS, StateError, StateReader, StateWriter};

/// What happens daily happens up to this much earlier or later.
const EDGE_MS: f64 = 600_000.0;
const SLOT_WIDTHS_MS: [i64; 11] = [
    300_000, 600_000, 900_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 21_600_000,
    43_200_000, DAY_MS,
];
/// How much of the newest visit a mean takes over once it is old: a memory of about 8 days and of 4 weeks.
const DAY_RATE: f64 = 0.12;
const WEEK_RATE: f64 = 0.25;
/// Visits until what differs much from a mean counts only in part.
const DAY_OPEN_VISITS: u8 = 3;
const WEEK_OPEN_VISITS: u8 = 2;
/// Beyond this a mean cannot be kept in 32 bits.
const LARGEST_MEAN: f64 = 1e38;
const MOST_VISITS: u8 = 99;

/// The width of slot that suits readings this far apart.
pub(super) fn width_for(interval_ms: i64) -> i64 {
    SLOT_WIDTHS_MS
        .into_iter()
        .find(|&width| width >= interval_ms)
        .unwrap_or(DAY_MS)
}

/// Running means by slot of the day and by slot of the week.
#[derive(Debug, Clone)]
pub(super) struct Season {
    width_ms: i64,
    /// The means are kept as distances from this, so that 32 bits are enough for values far from 0.
    origin: f64,
    day: Profile,
    week: Profile,
    visit: Visit,
}

/// The values of the slot that readings are in; its means learn their average when it is over.
#[derive(Debug, Clone, Default)]
struct Visit {
    number: i64,
    sum: f64,
    count: u32,
}

/// Means by slot, in pages that are made when their first mean is learnt.
#[derive(Debug, Clone)]
struct Profile {
    slots: usize,
    /// Empty before the first mean.
    pages: Vec<Option<Box<Page>>>,
}

/// Slots of a page.
const PAGE: usize = 32;

#[derive(Debug, Clone)]
struct Page {
    means: [f32; PAGE],
    visits: [u8; PAGE],
}

/// A place in the profiles.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    day: usize,
    week: usize,
    pub hour: usize,
}

/// What the profiles say about a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    pub day: f64,
    pub week: f64,
}

impl Profile {
    fn new(slots: usize) -> Self {
        Profile {
            slots,
            pages: Vec::new(),
        }
    }

    /// The visits of a slot and their mean.
    #[inline]
    fn at(&self, slot: usize) -> (u8, f32) {
        match self.pages.get(slot / PAGE) {
            Some(Some(page)) => (page.visits[slot % PAGE], page.means[slot % PAGE]),
            _ => (0, 0.0),
        }
    }

    fn page(&mut self, slot: usize) -> &mut Page {
        if self.pages.is_empty() {
            self.pages = vec![None; self.slots.div_ceil(PAGE)];
        }
        self.pages[slot / PAGE].get_or_insert_with(|| {
            Box::new(Page {
                means: [0.0; PAGE],
                visits: [0; PAGE],
            })
        })
    }

    fn learn(&mut self, slot: usize, value: f64, limit: f64, open_visits: u8, rate: f64) {
        let (visits, mean) = self.at(slot);
        let mean = f64::from(mean);
        let mut step = value - mean;
        if visits >= open_visits {
            step = step.clamp(-limit, limit);
        }
        // A plain mean of the first visits, then one that forgets.
        let mean = mean + rate.max(1.0 / f64::from(visits + 1)) * step;
        let page = self.page(slot);
        page.means[slot % PAGE] = mean.clamp(-LARGEST_MEAN, LARGEST_MEAN) as f32;
        page.visits[slot % PAGE] = (visits + 1).min(MOST_VISITS);
    }
}

impl Season {
    pub(super) fn new(width_ms: i64, origin: f64) -> Self {
        let slots = (DAY_MS / width_ms) as usize;
        Season {
            width_ms,
            origin,
            day: Profile::new(slots),
            week: Profile::new(7 * slots),
            visit: Visit::default(),
        }
    }

    pub(super) fn origin(&self) -> f64 {
        self.origin
    }

    pub(super) fn width_ms(&self) -> i64 {
        self.width_ms
    }

    pub(super) fn place(&self, local_time_ms: i64) -> Place {
        let in_day = local_time_ms.rem_euclid(DAY_MS);
        let weekday = weekday_of(local_time_ms.div_euclid(DAY_MS)) as usize;
        let day = (in_day / self.width_ms) as usize;
        Place {
            day,
            week: weekday * self.day.slots + day,
            hour: (in_day / 3_600_000) as usize,
        }
    }

    /// The means of a place; `otherwise` where nothing has been seen.
    pub(super) fn usual(&self, place: Place, otherwise: f64) -> Usual {
        let mean = |profile: &Profile, slot: usize, otherwise| {
            let (visits, mean) = profile.at(slot);
            if visits > 0 {
                self.origin + f64::from(mean)
            } else {
                otherwise
            }
        };
        let day = mean(&self.day, place.day, otherwise);
        Usual {
            day,
            week: mean(&self.week, place.week, day),
        }
    }

    /// How far the means of the neighboring slots lie below and above those of the place; of slots longer than ten
    /// minutes, only that part of it that ten minutes are.
    pub(super) fn slope(&self, place: Place, usual: Usual) -> (f64, f64) {
        let (day_slots, week_slots) = (self.day.slots, self.week.slots);
        let (mut below, mut above) = (0.0_f64, 0.0_f64);
        let part = (EDGE_MS / self.width_ms as f64).min(1.0);
        let steps: &[i64] = if 2.0 * self.width_ms as f64 <= EDGE_MS {
            &[-2, -1, 1, 2]
        } else {
            &[-1, 1]
        };
        for &step in steps {
            let near = |slot: usize, slots: usize| (slot as i64 + step).rem_euclid(slots as i64) as usize;
            let (day, week) = (near(place.day, day_slots), near(place.week, week_slots));
            let (day_visits, day_mean) = self.day.at(day);
            if day_visits == 0 {
                continue;
            }
            let by_day = self.origin + f64::from(day_mean) - usual.day;
            let (week_visits, week_mean) = self.week.at(week);
            // A single visit says too little of the week.
            let by_week = if week_visits > 1 {
                self.origin + f64::from(week_mean) - usual.week
            } else {
                by_day
            };
            below = below.min(by_day).min(by_week);
            above = above.max(by_day).max(by_week);
        }
        (part * below, part * above)
    }

    /// Before a reading: if it begins another visit, learns the average of the last one.
    pub(super) fn begin(&mut self, local_time_ms: i64, limit: f64) {
        let number = local_time_ms.div_euclid(self.width_ms);
        if number == self.visit.number {
            return;
        }
        if self.visit.count > 0 {
            let place = self.place(self.visit.number.saturating_mul(self.width_ms));
            let average = self.visit.sum / f64::from(self.visit.count);
            self.learn(place, average, limit);
        }
        self.visit = Visit {
            number,
            ..Visit::default()
        };
    }

    /// Adds a value to the visit.
    pub(super) fn add(&mut self, value: f64) {
        self.visit.sum += value - self.origin;
        self.visit.count = self.visit.count.saturating_add(1);
    }

    fn learn(&mut self, place: Place, value: f64, limit: f64) {
        self.day.learn(place.day, value, limit, DAY_OPEN_VISITS, DAY_RATE);
        self.week
            .learn(place.week, value, limit, WEEK_OPEN_VISITS, WEEK_RATE);
    }
}

impl Profile {
    /// Writes the pages that there are.
    fn save(&self, state: &mut StateWriter) {
        for number in 0..self.slots.div_ceil(PAGE) {
            let Some(Some(page)) = self.pages.get(number) else {
                state.u8(0);
                continue;
            };
            state.u8(1);
            for (&mean, &visits) in page.means.iter().zip(&page.visits) {
                state.u8(visits);
                if visits > 0 {
                    state.f32(mean);
                }
            }
        }
    }

    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        for number in 0..self.slots.div_ceil(PAGE) {
            match state.u8()? {
                0 => continue,
                1 => self.page(PAGE * number).restore(state)?,
                _ => return Err(StateError::Impossible("mark of a page")),
            }
        }
        Ok(())
    }
}

impl Page {
    fn restore(&mut self, state: &mut StateReader<'_>) -> Result<(), StateError> {
        for (mean, visits) in self.means.iter_mut().zip(&mut self.visits) {
            *visits = state.u8()?;
            if *visits > 0 {
                *mean = state.f32()?;
            }
            if *visits > MOST_VISITS || !mean.is_finite() {
                return Err(StateError::Impossible("profile"));
            }
        }
        Ok(())
    }
}

impl Season {
    pub(super) fn save(&self, state: &mut StateWriter) {
        state.i64(self.width_ms);
        state.f64(self.origin);
        self.day.save(state);
        self.week.save(state);
        state.i64(self.visit.number);
        state.f64(self.visit.sum);
        state.u32(self.visit.count);
    }

    pub(super) fn restore(state: &mut StateReader<'_>) -> Result<Self, StateError> {
        let width_ms = state.i64()?;
        if !SLOT_WIDTHS_MS.contains(&width_ms) {
            return Err(StateError::Impossible("width of slots"));
        }
        let mut season = Season::new(width_ms, state.finite("profile")?);
        season.day.restore(state)?;
        season.week.restore(state)?;
        season.visit = Visit {
            number: state.i64()?,
            sum: state.finite("profile")?,
            count: state.u32()?,
        };
        Ok(season)
    }
}
