//! A page of documentation as a list of things to do: its fenced blocks that are commands, records to produce, or a record
//! that a topic must hold. All other blocks are for reading.

use anyhow::{Context, Result, bail, ensure};

/// The blocks to do something about, each with the line it begins at.
#[derive(Debug)]
pub struct Page {
    pub blocks: Vec<(usize, Block)>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Block {
    /// ```` ```console ````: commands behind `$ `, each with what it prints.
    Console(Vec<Command>),
    /// ```` ```json produce=TOPIC ````: each line is a record.
    Produce { topic: String, lines: Vec<String> },
    /// ```` ```json topic=TOPIC ````: one of the committed records; lines behind the first are its headers.
    Record { topic: String, text: String },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    pub text: String,
    /// Its output on standard output and error.
    pub output: String,
    /// Whether something was started in the background before it, which takes its time.
    pub is_repeated: bool,
}

impl Page {
    pub fn parse(text: &str) -> Result<Page> {
        let mut blocks = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let Some(info) = line.strip_prefix("```") else {
                continue;
            };
            let start = index + 1;
            let mut body = Vec::new();
            loop {
                let (_, line) = lines
                    .next()
                    .with_context(|| format!("line {start}: the block has no end"))?;
                if line == "```" {
                    break;
                }
                body.push(line);
            }
            let block = Block::parse(info, &body).with_context(|| format!("line {start}"))?;
            blocks.extend(block.map(|block| (start, block)));
        }
        Ok(Page { blocks })
    }

    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        self.blocks.iter().flat_map(|(_, block)| match block {
            Block::Console(commands) => commands.as_slice(),
            Block::Produce { .. } | Block::Record { .. } => &[],
        })
    }
}

impl Block {
    fn parse(info: &str, body: &[&str]) -> Result<Option<Block>> {
        let (language, act) = info.split_once(' ').unwrap_or((info, ""));
        Ok(match act.split_once('=') {
            None if act.is_empty() && language == "console" => Some(Block::Console(parse_commands(body)?)),
            None if act.is_empty() => None,
            Some(("produce", topic)) => Some(Block::Produce {
                topic: topic.to_owned(),
                lines: body.iter().map(|&line| line.to_owned()).collect(),
            }),
            Some(("topic", topic)) => Some(Block::Record {
                topic: topic.to_owned(),
                text: body.join("\n"),
            }),
            _ => bail!(
                "cannot follow a block of {info:?}: write produce=TOPIC or topic=TOPIC behind the language"
            ),
        })
    }
}

fn parse_commands(body: &[&str]) -> Result<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    let mut output: Vec<&str> = Vec::new();
    for line in body {
        let Some(text) = line.strip_prefix("$ ") else {
            ensure!(!commands.is_empty(), "output before the first command: {line:?}");
            output.push(line);
            continue;
        };
        if let Some(last) = commands.last_mut() {
            last.output = std::mem::take(&mut output).join("\n");
        }
        let is_repeated = commands
            .last()
            .is_some_and(|last| last.is_repeated || last.text.ends_with(" &"));
        commands.push(Command {
            text: text.to_owned(),
            output: String::new(),
            is_repeated,
        });
    }
    let last = commands.last_mut().context("a console block without a command")?;
    last.output = output.join("\n");
    Ok(commands)
}

#[test]
fn blocks_are_found_with_their_commands_and_outputs() {
    let page = Page::parse(
        "Text.\n```console\n$ one\n1\n\n2\n$ two &\n$ three\n```\n```sh\nnot run\n```\n```json produce=t\n{}\n[]\n```\n```text topic=t\nx\n  a=b\n```\n",
    )
    .unwrap();
    let command = |text: &str, output: &str, is_repeated| Command {
        text: text.to_owned(),
        output: output.to_owned(),
        is_repeated,
    };
    let commands = vec![
        command("one", "1\n\n2", false),
        command("two &", "", false),
        command("three", "", true),
    ];
    let produce = Block::Produce {
        topic: "t".to_owned(),
        lines: vec!["{}".to_owned(), "[]".to_owned()],
    };
    let last = Block::Record {
        topic: "t".to_owned(),
        text: "x\n  a=b".to_owned(),
    };
    assert_eq!(
        page.blocks,
        [(2, Block::Console(commands)), (13, produce), (17, last)]
    );
}

#[test]
fn what_cannot_be_followed_is_an_error() {
    for text in [
        "```console\n$ never closed\n",
        "```console\noutput without a command\n```\n",
        "```console\n```\n",
        "```json publish=t\n{}\n```\n",
    ] {
        assert!(Page::parse(text).is_err(), "{text}");
    }
}
