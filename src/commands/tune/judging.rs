//! Readings in, scores out: each candidate judges the whole history, on as many threads as there are cores.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::candidates::Candidate;
use crate::backtest::Judge;
use crate::backtest::tuning::{Answer, HistoricSeries, Score};
use crate::commands::history::{HistoryArgs, judge, past};
use crate::decode;
use crate::recording::Recording;

const WEEK_MS: f64 = 604_800_000.0;

/// The readings that candidates judge. Each takes 24 bytes, and no judgment of them is kept.
pub(super) struct History {
    recordings: Vec<Recording>,
    /// Those of all recordings, each in the order of their first readings.
    pub series: Vec<HistoricSeries>,
}

impl History {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file cannot be read, or none holds a reading.
    pub(super) fn read(args: &HistoryArgs, reading: &decode::Settings) -> Result<Self> {
        let mut reader = args.reader(reading);
        let (mut recordings, mut series) = (Vec::new(), Vec::new());
        for source in args.sources()? {
            if let Some(recording) = reader.read(&source)? {
                series.extend(series_of(&recording, &source.path));
                recordings.push(recording);
            }
        }
        if recordings.is_empty() {
            bail!("there are no readings to judge");
        }
        Ok(History { recordings, series })
    }

    /// How many a week so many alarms are, of all series together; `None` if the readings span no time. A file may be of
    /// other weeks than the next one, so that a week is counted for each series.
    pub(super) fn per_week(&self, alarms: u64) -> Option<f64> {
        let span_ms = |series: &HistoricSeries| (series.span_ms.1 - series.span_ms.0) as f64;
        let weeks = self.series.iter().map(span_ms).sum::<f64>() / WEEK_MS;
        (weeks > 0.0).then(|| alarms as f64 * self.series.len() as f64 / weeks)
    }

    /// The score of one candidate for each least duration, where `answers` has those of each series.
    fn scores(&self, judge: &Judge, answers: &[Vec<Answer>], least_durations_ms: &[i64]) -> Vec<Score> {
        let mut scores = vec![Score::default(); least_durations_ms.len()];
        let mut answers = answers.iter();
        for recording in &self.recordings {
            for (judged, answers) in judge.episodes(past(recording)).iter().zip(&mut answers) {
                for (score, least_ms) in scores.iter_mut().zip(least_durations_ms) {
                    *score = *score + Score::of(&judged.episodes, answers, *least_ms);
                }
            }
        }
        scores
    }
}

/// The series of a recording in the order of their first readings.
fn series_of(recording: &Recording, path: &Path) -> Vec<HistoricSeries> {
    let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut all: Vec<HistoricSeries> = Vec::new();
    for reading in &recording.readings {
        let (key, time_ms) = (recording.key(reading).unwrap_or_default(), reading.time_ms);
        let place = *places.entry(key).or_insert_with(|| {
            all.push(HistoricSeries {
                file: file.clone().into_owned(),
                key: key.to_owned(),
                span_ms: (time_ms, time_ms),
            });
            all.len() - 1
        });
        // Readings are in order of time.
        all[place].span_ms.1 = time_ms;
    }
    all
}

/// Candidates that judge alike, and differ in whom is told at most.
struct Judging<'a> {
    judge: Judge,
    candidates: Vec<(usize, &'a Candidate)>,
}

/// The score of each candidate.
///
/// # Errors
/// If a candidate judges nothing, or no thread can be started.
pub(super) fn scores(
    candidates: &[Candidate],
    history: &History,
    answers: &[Vec<Answer>],
) -> Result<Vec<Score>> {
    let judgings = judgings(candidates)?;
    let bar = bar(judgings.len() as u64);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut scored = Vec::new();
        while let Some(judging) = judgings.get(next.fetch_add(1, Ordering::Relaxed)) {
            let least: Vec<i64> = judging
                .candidates
                .iter()
                .map(|(_, candidate)| candidate.least_duration_ms())
                .collect();
            let scores = history.scores(&judging.judge, answers, &least);
            let places = judging.candidates.iter().map(|(place, _)| *place);
            scored.extend(places.zip(scores));
            bar.inc(1);
        }
        scored
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let scored = thread::scope(|scope| {
        let start = |_| thread::Builder::new().spawn_scoped(scope, work);
        let started: io::Result<Vec<_>> = (0..cores.min(judgings.len())).map(start).collect();
        let workers = started.context("cannot start a thread; is there a limit on processes?")?;
        let mut scored = Vec::new();
        for worker in workers {
            match worker.join() {
                Ok(some) => scored.extend(some),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        anyhow::Ok(scored)
    })?;
    bar.finish_and_clear();
    let mut scores = vec![Score::default(); candidates.len()];
    for (place, score) in scored {
        scores[place] = score;
    }
    Ok(scores)
}

fn judgings(candidates: &[Candidate]) -> Result<Vec<Judging<'_>>> {
    let mut judgings: Vec<Judging<'_>> = Vec::new();
    for candidate in candidates.iter().enumerate() {
        let pipeline = &candidate.1.config.pipeline;
        let alike = judgings
            .iter_mut()
            .find(|judging| judging.candidates[0].1.config.pipeline == *pipeline);
        match alike {
            Some(judging) => judging.candidates.push(candidate),
            None => judgings.push(Judging {
                judge: judge(pipeline).with_context(|| format!("cannot judge by {}", candidate.1.name()))?,
                candidates: vec![candidate],
            }),
        }
    }
    Ok(judgings)
}

fn bar(length: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos} of {len} ways to judge  {wide_bar}  {eta} left");
    ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
