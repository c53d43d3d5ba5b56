use super::*;
use crate::backtest::{Alert, JudgedPoint};
use crate::detectors::{Anomaly, Cause, EpisodeStep, Notice, Verdict};

fn series(key: &str) -> JudgedSeries {
    let verdict = Verdict {
        score: 9.0,
        is_anomaly: true,
        cause: Cause::Point,
        ..Verdict::learning("adaptive-band", 7.0)
    };
    JudgedSeries {
        key: key.into(),
        points: vec![JudgedPoint {
            event_time_ms: 5,
            wall_time_ms: 5,
            value: 820.8,
            score: 9.0,
            threshold: 7.0,
            is_anomaly: true,
            lower: None,
            upper: Some(655.0),
        }],
        alerts: vec![Alert {
            wall_time_ms: 5,
            anomaly: Anomaly {
                partition: 0,
                episode: EpisodeStep::opening(0, 0),
                key: key.into(),
                measure: None,
                event_time_ms: 5,
                local_time_ms: 5,
                value: Some(820.8),
                verdict,
            },
        }],
        judged_from_ms: None,
        notice: Notice::default(),
        clipped: 0,
        passed_over: 0,
    }
}

fn html(key: &str, settings: &[(String, String, String)]) -> String {
    let series = [series(key)];
    let summaries = [Summary::of(&series[0], None)];
    let file = ReportFile {
        name: "a<b>.csv",
        series: &series,
        summaries: &summaries,
        windows: &[(1, 9)],
    };
    let head = ReportHead {
        detector: "adaptive-band",
        unit: "kW",
        nab: None,
        settings,
    };
    report(&head, &[file, file])
}

/// The text within the data's element.
fn data(html: &str) -> serde_json::Value {
    let (_, rest) = html.split_once("id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_data_is_json_whatever_a_key_holds() {
    let key = "</script><script>alert(1)</script> \"&{tiles}";
    let html = html(key, &[]);
    let data = data(&html);
    let found = &data["series"][1];
    assert_eq!(found["name"], format!("a<b>.csv · {key}"));
    assert_eq!(found["values"], serde_json::json!([820.8]));
    assert_eq!(found["lower"], serde_json::Value::Null);
    assert_eq!(found["upper"], serde_json::json!([655]));
    assert_eq!(found["windows"], serde_json::json!([[1, 9]]));
    assert_eq!(found["alerts"][0][0], 5);
    assert_eq!(
        html.matches("alert(1)").count(),
        html.matches("alert(1)&lt;").count() + html.matches("alert(1)\\u003c").count()
    );
    assert!(
        html.contains("a&lt;b&gt;.csv · &lt;/script&gt;"),
        "the key is in the table too"
    );
}

#[test]
fn settings_are_shown_as_they_are_and_nothing_is_loaded() {
    let setting = |key: &str, value: &str| (key.to_owned(), value.to_owned(), "default".to_owned());
    let html = html("", &[setting("detect.unit", "<b>{licence}")]);
    assert!(html.contains("<td>&lt;b&gt;{licence}</td>"));
    for loading in [
        "src=",
        "href=\"http",
        "@import",
        "url(",
        "fetch(",
        "XMLHttpRequest",
    ] {
        assert!(!html.contains(loading), "{loading}");
    }
    for tag in ["{title}", "{subtitle}", "{nab}", "{series}", "{settings}"] {
        assert!(!html.contains(tag), "{tag}");
    }
}

#[test]
fn counts_are_grouped() {
    for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
        assert_eq!(grouped(count), text);
    }
}
