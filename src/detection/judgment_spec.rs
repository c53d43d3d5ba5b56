//! How the readings of a partition are judged.

use std::sync::Arc;

use super::roster::SeriesState;
use super::settings::{DetectInput, Settings};
use super::windows::JudgedWindows;
use crate::decode;
use crate::detectors::{self, Calendar, Filters, Model, RuleError, Series, models};
use crate::window::{self, ClosingWindows};

/// By what readings are judged, and how many series are kept: the same for all partitions, and for a recording.
#[derive(Debug, Clone)]
pub(crate) struct JudgmentSpec {
    models: Vec<Arc<dyn Model>>,
    filters: Filters,
    /// Of the detectors' days and weeks.
    pub calendar: Calendar,
    /// The windows whose averages are judged; `None` if the readings themselves are.
    pub windows: Option<JudgedWindows>,
    /// Whether values are totals of counters, and judged by what they increase by.
    judges_increments: bool,
    /// How many series a partition may have.
    pub series_limit: usize,
    /// Whether a series is forgotten once event time has left it behind.
    pub forgets: bool,
}

impl JudgmentSpec {
    /// As the settings say.
    ///
    /// # Errors
    /// [`RuleError`] naming the rule that cannot be read.
    pub(crate) fn new(
        reading: &decode::Settings,
        window: &window::Settings,
        detect: &Settings,
        detectors: &detectors::Settings,
    ) -> Result<Self, RuleError> {
        let judges_windows = detect.input == DetectInput::Windows;
        Ok(JudgmentSpec {
            models: models(detect.detector, detect.threshold, &detect.rules, detectors)?,
            filters: detect.filters(),
            calendar: Calendar::new(detect.calendar_zone(reading.time_zone))
                .with_holidays(detect.holidays.clone()),
            windows: judges_windows
                .then(|| JudgedWindows::new(ClosingWindows::new(window, reading.stamp), detect.slide)),
            judges_increments: detect.judges_increments(reading.value_kind),
            series_limit: detect.max_series,
            forgets: true,
        })
    }

    /// The same without bounds on memory. A stream needs them because it never ends; a recording has an end, and its
    /// report shows every series whole.
    #[must_use]
    pub(crate) fn unbounded(self) -> Self {
        JudgmentSpec {
            series_limit: usize::MAX,
            forgets: false,
            ..self
        }
    }

    /// Whether there is anything that judges.
    pub(crate) fn has_models(&self) -> bool {
        !self.models.is_empty()
    }

    /// Detectors for a series of this key that have seen nothing yet.
    pub(crate) fn detectors(&self, key: &str) -> Series {
        let series = if self.judges_increments {
            Series::of_increments(&self.models, key)
        } else {
            Series::new(&self.models, key)
        };
        series.filtered(self.filters.of_key(key))
    }

    /// The event time of its partition up to which a series is remembered; never becomes smaller. Its windows have
    /// been judged by then.
    pub(super) fn remembered_until_ms(&self, series: &SeriesState) -> i64 {
        let closing_ms = self.windows.map_or(0, |windows| windows.closing_ms());
        series
            .heard_at_ms
            .saturating_add(series.detectors.memory_ms())
            .saturating_add(closing_ms)
    }
}
