//! The documentation holds together: every link within it leads somewhere, every decision is in the index, and every page
//! is in the table of contents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A link from one page to a file or a heading of the repository.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    line: usize,
    target: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files of a folder, without its subfolders.
fn pages(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

/// The lines outside of fenced blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_fenced = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let is_fence = line.trim_start().starts_with("```");
        is_fenced ^= is_fence;
        (!is_fence && !is_fenced).then_some((number, line))
    })
}

/// The targets in `](…)`, also if the text of the link began a line earlier; not in `` `code` ``, and no
/// address elsewhere.
fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (line, text) in prose(text) {
        let text: String = text.split('`').step_by(2).collect::<Vec<_>>().join("code");
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                links.push(Link {
                    line,
                    target: target.to_owned(),
                });
            }
        }
    }
    links
}

/// GitHub's anchors of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let anchor: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                '-' | '_' => Some(c),
                _ => c.is_alphanumeric().then_some(c),
            })
            .collect();
        let mut candidate = anchor.clone();
        let mut count = 0;
        while !anchors.insert(candidate.clone()) {
            count += 1;
            candidate = format!("{anchor}-{count}");
        }
    }
    anchors
}

/// The reason why a link of a page leads nowhere.
pub fn broken(page: &Path, text: &str, target: &str) -> Option<String> {
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let file = match path {
        "" => page.to_owned(),
        path => page.parent()?.join(path),
    };
    if !path.is_empty() && !file.exists() {
        return Some(format!("there is no {path}"));
    }
    let anchor = anchor?;
    let text = if path.is_empty() {
        text.to_owned()
    } else {
        std::fs::read_to_string(file).ok()?
    };
    (!anchors(&text).contains(anchor)).then(|| format!("{path} has no heading #{anchor}"))
}

#[test]
fn every_link_leads_somewhere() {
    let folders = ["", "docs", "docs/adr", "docs/detectors", "packaging", "terraform"];
    let mut count = 0;
    let mut faults = Vec::new();
    for page in folders.iter().flat_map(|folder| pages(folder)) {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(root()).unwrap().display();
        for link in links(&text) {
            count += 1;
            if let Some(reason) = broken(&page, &text, &link.target) {
                faults.push(format!("{name}, line {}: {reason}", link.line));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(count > 150, "{count} links were found");
}

#[test]
fn every_decision_is_in_the_index() {
    let records = pages("docs/adr");
    let index = std::fs::read_to_string(&records[0]).unwrap();
    let listed: Vec<String> = links(&index).into_iter().map(|link| link.target).collect();
    let names = records[1..]
        .iter()
        .map(|page| page.file_name().unwrap().to_str().unwrap());
    assert_eq!(listed, names.collect::<Vec<_>>());
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let listed: BTreeSet<String> = links(&contents).into_iter().map(|link| link.target).collect();
    let name = |page: &Path| page.file_name().unwrap().to_str().unwrap().to_owned();
    let docs = pages("docs").into_iter().map(|page| name(&page));
    let detectors = pages("docs/detectors")
        .into_iter()
        .map(|page| format!("detectors/{}", name(&page)));
    let missing: Vec<String> = docs
        .chain(detectors)
        .filter(|page| page != "README.md" && !listed.contains(page))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_broken_link_is_found() {
    let text = "# A Page\n\n[a](#a-page) `[code](none.md)` [b](README.md#more) [c](https://example.com/x)\n\n```sh\n[d](none.md)\n```\n## What it's (not): 2 `x_y`\n## A page\n";
    let found = |line, target: &str| Link {
        line,
        target: target.to_owned(),
    };
    assert_eq!(links(text), [found(3, "#a-page"), found(3, "README.md#more")]);
    let expected = ["a-page", "a-page-1", "what-its-not-2-x_y"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(expected));

    let page = root().join("page.md");
    for target in ["#a-page", "#a-page-1", "Cargo.toml", "docs/", "README.md#more"] {
        assert_eq!(broken(&page, text, target), None, "{target}");
    }
    for target in ["none.md", "#none", "README.md#none", "../none/README.md"] {
        assert!(broken(&page, text, target).is_some(), "{target}");
    }
}
