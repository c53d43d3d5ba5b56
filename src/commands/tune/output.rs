//! The comparison, for people and for programs.

use std::io::Write;

use anyhow::{Context, Result};
use indicatif::HumanCount;
use serde_json::{Value, json};

use super::candidates::{Candidate, Change};
use super::judging::History;
use crate::backtest::tuning::{Choice, Contender, FEWEST_ANSWERS, Share, choose, ranked};
use crate::commands::config::{toml_line, toml_value};
use crate::commands::text_table::{Align, TextTable};

pub(super) const CANNOT_WRITE: &str = "cannot write the result";

/// Candidates with their scores, and what comes of them.
pub(super) struct Comparison<'a> {
    candidates: &'a [Candidate],
    contenders: Vec<Contender>,
    history: &'a History,
    choice: Choice,
}

impl<'a> Comparison<'a> {
    /// The comparison of candidates, the present settings first, with their scores in the same order.
    pub(super) fn new(candidates: &'a [Candidate], contenders: Vec<Contender>, history: &'a History) -> Self {
        Comparison {
            choice: choose(&contenders),
            candidates,
            contenders,
            history,
        }
    }

    /// Writes the best candidates and the present settings as a table, and the proposal below it.
    pub(super) fn table(&self, max_rows: Option<usize>, out: &mut impl Write) -> Result<()> {
        let [right, left] = [Align::Right, Align::Left];
        let mut table = TextTable::new(&[
            ("settings", left),
            ("alarms", right),
            ("a week", right),
            ("confirmed kept", left),
            ("false alarms spared", left),
            ("missed found", left),
        ]);
        let places = ranked(&self.contenders);
        let shown = max_rows.unwrap_or(places.len()).min(places.len());
        let is_present = |place: &&usize| **place == 0;
        let below = places[shown..].iter().filter(is_present);
        for place in places[..shown].iter().chain(below) {
            let score = &self.contenders[*place].score;
            table.row([
                self.candidates[*place].name(),
                HumanCount(score.alarms).to_string(),
                self.history
                    .per_week(score.alarms)
                    .map_or("-".to_owned(), |rate| format!("{rate:.2}")),
                share(score.kept),
                share(score.spared),
                share(score.found),
            ]);
        }
        table.write(out).context(CANNOT_WRITE)?;
        let left_out = places[shown..].iter().filter(|place| **place != 0).count();
        if left_out > 0 {
            writeln!(out, "… {left_out} more; --maxrows all shows them").context(CANNOT_WRITE)?;
        }
        writeln!(out, "\n{}", self.why()).context(CANNOT_WRITE)?;
        if let Choice::Adopt(best) = self.choice {
            writeln!(out, "\n{}", toml(&self.candidates[best].changes)).context(CANNOT_WRITE)?;
        }
        Ok(())
    }

    /// Writes all of it as one JSON object.
    pub(super) fn json(&self, out: &mut impl Write) -> Result<()> {
        let candidate = |place: &usize| {
            let score = &self.contenders[*place].score;
            json!({
                "changes": changes(&self.candidates[*place].changes),
                "alarms": score.alarms,
                "alarms_per_week": self.history.per_week(score.alarms),
                "confirmed_kept": share_json(score.kept),
                "false_alarms_spared": share_json(score.spared),
                "missed_found": share_json(score.found),
            })
        };
        let proposal = match self.choice {
            Choice::Adopt(best) => {
                let adopted = &self.candidates[best].changes;
                json!({ "changes": changes(adopted), "toml": toml(adopted) })
            }
            Choice::Stay | Choice::NothingConfirmed | Choice::NoneKeepsAll { .. } => Value::Null,
        };
        let score = &self.contenders[0].score;
        let object = json!({
            "answers": score.kept.of + score.spared.of + score.found.of,
            "present": candidate(&0),
            "candidates": ranked(&self.contenders).iter().filter(|place| **place != 0).map(candidate).collect::<Vec<_>>(),
            "proposal": proposal,
            "why": self.why(),
        });
        write_json(&object, out)
    }

    /// What is proposed and why, or why nothing is.
    fn why(&self) -> String {
        let present = &self.contenders[0].score;
        match self.choice {
            Choice::Adopt(best) => {
                let score = &self.contenders[best].score;
                let alike = self.contenders.iter().filter(|contender| {
                    contender.score.kept == score.kept && contender.score.spared == score.spared
                });
                let alike = match alike.count() {
                    1 => "No other candidate that keeps them spares as many.".to_owned(),
                    2 => "One other does as well, and changes no fewer settings.".to_owned(),
                    count => format!("{} others do as well, and change no fewer settings.", count - 1),
                };
                let chance = |share: Share| {
                    share
                        .interval()
                        .map_or("-".to_owned(), |(low, high)| percents(low, high))
                };
                format!(
                    "Proposed: {}\n\
                     It keeps all {} confirmed faults and spares {} of {} false alarms; the present settings keep {} and \
                     spare {}.\n\
                     {alike}\n\
                     By so few answers, {} of the faults to come would be kept, and {} of the false alarms spared (95 % each).",
                    self.candidates[best].name(),
                    score.kept.of,
                    score.spared.count,
                    score.spared.of,
                    present.kept.count,
                    present.spared.count,
                    chance(score.kept),
                    chance(score.spared),
                )
            }
            Choice::Stay => format!(
                "Nothing is proposed: no candidate that keeps all {} confirmed faults spares more than the {} of {} false \
                 alarms that the present settings do.",
                present.kept.of, present.spared.count, present.spared.of
            ),
            Choice::NothingConfirmed => {
                "Nothing is proposed: no answer confirms a fault (`streamgauge feedback EPISODE \
                                         real`), so that whatever is quietest would look best."
                    .to_owned()
            }
            Choice::NoneKeepsAll { most_kept } => format!(
                "Nothing is proposed: no candidate keeps all {} confirmed faults; the best keeps {most_kept}, and the present \
                 settings {}. The readings may begin too late for what was learnt when they were found.",
                present.kept.of, present.kept.count
            ),
        }
    }
}

/// Says that there are too few answers.
pub(super) fn too_few(count: usize, as_json: bool, out: &mut impl Write) -> Result<()> {
    let why = format!(
        "Nothing is proposed: {count} answers are of these readings, and fewer than {FEWEST_ANSWERS} say too little. Say more \
         by `streamgauge feedback EPISODE real` or `expected`."
    );
    if as_json {
        let object = json!({ "answers": count, "candidates": [], "proposal": null, "why": why });
        return write_json(&object, out);
    }
    writeln!(out, "{why}").context(CANNOT_WRITE)
}

fn write_json(object: &Value, out: &mut impl Write) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, object).context(CANNOT_WRITE)?;
    writeln!(out).context(CANNOT_WRITE)
}

fn share(share: Share) -> String {
    match share.interval() {
        Some((low, high)) => format!("{} of {} ({})", share.count, share.of, percents(low, high)),
        None => "-".to_owned(),
    }
}

fn percents(low: f64, high: f64) -> String {
    format!("{:.0} to {:.0} %", 100.0 * low, 100.0 * high)
}

fn share_json(share: Share) -> Value {
    json!({ "count": share.count, "of": share.of, "interval": share.interval() })
}

fn changes(changes: &[Change]) -> Vec<Value> {
    let change = |change: &Change| json!({ "key": change.setting.key(), "from": change.from, "to": change.setting.value });
    changes.iter().map(change).collect()
}

/// The changes as lines of a settings file.
fn toml(changes: &[Change]) -> String {
    let mut lines = Vec::new();
    let mut table = "";
    for Change { setting, from } in changes {
        if setting.table != table {
            lines.extend((!lines.is_empty()).then(String::new));
            let item = setting.table.rsplit('.').next().filter(|_| setting.is_in_list);
            let item = item.map(|item| format!("  # the one named {item}"));
            lines.push(setting.heading() + &item.unwrap_or_default());
            table = &setting.table;
        }
        let from = from.as_ref().map_or("not set".to_owned(), toml_value);
        lines.push(format!("{}  # now {from}", toml_line(setting)));
    }
    lines.join("\n")
}
