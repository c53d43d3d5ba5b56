//! The files of the page. They lie in the program, so nothing else has to be reached.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;

/// A file: its name, its kind, and what is in it.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File {
            name: $name,
            kind: $kind,
            text: include_str!(concat!("page/", $name)),
        }
    };
}

const INDEX: &str = "index.html";

const FILES: &[File] = &[
    file!("index.html", HTML),
    file!("live.css", STYLE),
    file!("answer_form.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("changes.js", SCRIPT),
    file!("elements.js", SCRIPT),
    file!("episode_book.js", SCRIPT),
    file!("episode_card.js", SCRIPT),
    file!("episode_list.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("gestures.js", SCRIPT),
    file!("health.js", SCRIPT),
    file!("history.js", SCRIPT),
    file!("keyboard.js", SCRIPT),
    file!("link.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("names.js", SCRIPT),
    file!("palette.js", SCRIPT),
    file!("plot.js", SCRIPT),
    file!("plot_layers.js", SCRIPT),
    file!("plot_pane.js", SCRIPT),
    file!("plot_texts.js", SCRIPT),
    file!("read_out.js", SCRIPT),
    file!("reading_table.js", SCRIPT),
    file!("series_list.js", SCRIPT),
    file!("sheet.js", SCRIPT),
    file!("sparkline.js", SCRIPT),
    file!("view.js", SCRIPT),
    file!("watched_series.js", SCRIPT),
    File {
        name: "uplot.css",
        kind: STYLE,
        text: include_str!("../backtest/report/uplot/uPlot.min.css"),
    },
    File {
        name: "uplot.js",
        kind: SCRIPT,
        text: include_str!("../backtest/report/uplot/uPlot.iife.min.js"),
    },
];

/// Checksums of the files, in their order.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tags = FILES
        .iter()
        .map(|file| format!("\"{:08x}\"", crc32fast::hash(file.text.as_bytes())));
    tags.collect()
});

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    answer(INDEX, &headers)
}

/// A file beside it.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    answer(&name, &headers)
}

fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some((file, tag)) = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.name == name) else {
        return Refusal::not_found("there is no such page").into_response();
    };
    let common = [(ETAG, tag.as_str()), (CACHE_CONTROL, "no-cache")];
    if headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known == tag.as_str())
    {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, file.kind)], file.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/live/page");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                FILES.iter().any(|file| file.name == name),
                "{name} is not in FILES"
            );
        }
        for file in FILES.iter().filter(|file| file.kind == HTML) {
            assert!(
                !file.text.contains("<script>") && !file.text.contains("<style"),
                "{}",
                file.name
            );
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = answer(INDEX, &HeaderMap::new());
        let known = HeaderMap::from_iter([(IF_NONE_MATCH, first.headers()[ETAG].clone())]);
        assert_eq!(answer(INDEX, &known).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(
            answer("../page.rs", &HeaderMap::new()).status(),
            StatusCode::NOT_FOUND
        );
    }
}
