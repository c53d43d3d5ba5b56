//! The report: one HTML text that holds everything it needs, to be looked at without a network.

mod data;
mod policy;

use std::fmt::Write;

use policy::content_security_policy;

use super::nab::Score;
use super::{JudgedSeries, Summary, significant};

const PLOT_STYLE: &str = include_str!("report/uplot/uPlot.min.css");
const PLOT_SCRIPT: &str = include_str!("report/uplot/uPlot.iife.min.js");
const PLOT_LICENCE: &str = include_str!("report/uplot/LICENSE");
const STYLE: &str = include_str!("report/report.css");
const SCRIPT: &str = include_str!("report/report.js");
const BODY: &str = include_str!("report/body.html");

/// The head of the report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportHead<'a> {
    /// The detector's name in the settings.
    pub detector: &'a str,
    /// The unit of the values; may be empty.
    pub unit: &'a str,
    pub nab: Option<&'a [Score; 3]>,
    /// Every setting: key, value, and where it came from. Without secrets.
    pub settings: &'a [(String, String, String)],
}

/// A recording and its judgments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportFile<'a> {
    pub name: &'a str,
    pub series: &'a [JudgedSeries],
    /// Of each series.
    pub summaries: &'a [Summary],
    /// Labeled stretches, on the recording's clock in milliseconds since 1970-01-01T00:00:00.
    pub windows: &'a [(i64, i64)],
}

impl ReportFile<'_> {
    fn each(&self) -> impl Iterator<Item = (String, &JudgedSeries, &Summary)> {
        let named = |series: &JudgedSeries| {
            if series.key.is_empty() {
                self.name.to_owned()
            } else {
                format!("{} · {}", self.name, series.key)
            }
        };
        let each = self.series.iter().zip(self.summaries);
        each.map(move |(series, summary)| (named(series), series, summary))
    }
}

/// The report as HTML. Texts from files are escaped, whatever they hold.
pub(crate) fn report(head: &ReportHead<'_>, files: &[ReportFile<'_>]) -> String {
    let total = files
        .iter()
        .flat_map(|file| file.summaries)
        .fold(Summary::default(), |total, summary| total + *summary);
    let title = match files {
        [file] => file.name.to_owned(),
        files => format!("{} files", files.len()),
    };
    let parts = [
        ("{title}", escape(&title)),
        ("{subtitle}", escape(&format!("Detector {}", head.detector))),
        ("{tiles}", tiles(&total)),
        ("{nab}", head.nab.map_or_else(String::new, nab)),
        ("{series}", series_table(files)),
        ("{settings}", settings(head.settings)),
        ("{licence}", escape(PLOT_LICENCE)),
    ];
    let mut html = String::new();
    html.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    let policy = content_security_policy(&[PLOT_SCRIPT, SCRIPT]);
    let _ = writeln!(
        html,
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">"
    );
    html.push_str("<link rel=\"icon\" href=\"data:,\">\n");
    let _ = writeln!(html, "<title>{} – streamgauge backtest</title>", escape(&title));
    let _ = writeln!(html, "<style>{PLOT_STYLE}\n{STYLE}</style>\n</head>\n<body>");
    html.push_str(&filled(BODY, &parts));
    let _ = writeln!(html, "<script type=\"application/json\" id=\"data\">");
    html.push_str(&data::json(head.unit, files));
    let _ = writeln!(
        html,
        "</script>\n<script>{PLOT_SCRIPT}</script>\n<script>{SCRIPT}</script>"
    );
    html.push_str("</body>\n</html>\n");
    html
}

/// Replaces each `{name}` of the template in one pass, so that a filled-in text is never taken for a placeholder.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut html = String::new();
    let mut rest = template;
    while let Some((position, (name, text))) = parts
        .iter()
        .filter_map(|part| Some((rest.find(part.0)?, part)))
        .min_by_key(|(position, _)| *position)
    {
        html.push_str(&rest[..position]);
        html.push_str(text);
        rest = &rest[position + name.len()..];
    }
    html.push_str(rest);
    html
}

fn tiles(total: &Summary) -> String {
    let mut tiles = vec![
        (grouped(total.alerts), "alerts"),
        (grouped(total.episodes), "episodes"),
        (rate(total), "a week and series"),
        (grouped(total.readings), "readings"),
        (format!("{:.1}", total.weeks), "weeks"),
    ];
    if total.series > 1 {
        tiles.push((grouped(total.series), "series"));
    }
    if let Some(hits) = total.hits {
        tiles.push((
            format!("{} of {}", hits.caught, hits.windows),
            "labeled windows caught",
        ));
        tiles.push((grouped(hits.false_alarms), "false alarms"));
    }
    let tile = |(value, name): &(String, &str)| {
        format!("<div class=\"tile\"><b>{value}</b><span>{name}</span></div>")
    };
    tiles.iter().map(tile).collect()
}

fn nab(scores: &[Score; 3]) -> String {
    let cells = |text: &dyn Fn(&Score) -> String| -> String {
        let cell = |score: &Score| format!("<td class=\"number\">{}</td>", text(score));
        scores.iter().map(cell).collect()
    };
    let heads: String = scores
        .iter()
        .map(|score| format!("<th class=\"number\">{}</th>", score.profile.name))
        .collect();
    let threshold = |score: &Score| {
        score
            .swept_threshold
            .map_or("none".to_owned(), |threshold| significant(threshold, 4))
    };
    format!(
        "<table><tr><th>NAB score</th>{heads}</tr>\
         <tr><td>fixed: as the detector decided</td>{}</tr>\
         <tr><td>swept: with the best threshold in hindsight</td>{}</tr>\
         <tr><td class=\"muted\">which is</td>{}</tr></table>",
        cells(&|score| format!("{:.2}", score.fixed)),
        cells(&|score| format!("{:.2}", score.swept)),
        cells(&threshold),
    )
}

/// A line for each series, with a button to look at it; nothing for a single one.
fn series_table(files: &[ReportFile<'_>]) -> String {
    let each: Vec<_> = files.iter().flat_map(ReportFile::each).collect();
    if each.len() < 2 {
        return String::new();
    }
    let has_labels = each.iter().any(|(_, _, summary)| summary.hits.is_some());
    let mut html =
        String::from("<h2>Series</h2><div class=\"scroll wide tall\"><table><thead><tr><th>series</th>");
    html.push_str(
        "<th class=\"number\">readings</th><th class=\"number\">weeks</th><th class=\"number\">alerts</th>",
    );
    html.push_str("<th class=\"number\">per week</th>");
    if has_labels {
        html.push_str("<th class=\"number\">caught</th><th class=\"number\">false alarms</th>");
    }
    html.push_str("</tr></thead><tbody>");
    for (index, (name, _, summary)) in each.iter().enumerate() {
        let _ = write!(
            html,
            "<tr><td><button class=\"link\" data-series=\"{index}\">{}</button></td>",
            escape(name)
        );
        let mut cells = vec![
            grouped(summary.readings),
            format!("{:.1}", summary.weeks),
            grouped(summary.alerts),
            rate(summary),
        ];
        if has_labels {
            let hits = summary.hits;
            cells.push(hits.map_or_else(String::new, |hits| format!("{} of {}", hits.caught, hits.windows)));
            cells.push(hits.map_or_else(String::new, |hits| grouped(hits.false_alarms)));
        }
        for cell in cells {
            let _ = write!(html, "<td class=\"number\">{cell}</td>");
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

fn settings(settings: &[(String, String, String)]) -> String {
    let row = |(key, value, origin): &(String, String, String)| {
        format!(
            "<tr><td>{}</td><td>{}</td><td class=\"muted\">{}</td></tr>",
            escape(key),
            escape(value),
            escape(origin)
        )
    };
    settings.iter().map(row).collect()
}

fn rate(summary: &Summary) -> String {
    summary
        .alerts_per_week()
        .map_or_else(|| "–".to_owned(), |rate| format!("{rate:.2}"))
}

/// A count with its thousands apart: `12,345`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A text as HTML shows it, within an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests;
